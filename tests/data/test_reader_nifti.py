"""NIfTI as the standard has it, and as nibabel reads it."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import EnsureChannelFirst, LoadImage

from monai_sagan.data import CaseReader
from monai_sagan.errors import ImageError

DAMAGED = "the file is damaged or not an image; copy it again or leave it out."


def load(path: Path) -> MetaTensor:
    return LoadImage(reader=CaseReader(), dtype=None)(path)


def refusal(path: Path) -> str:
    """The reason for which a file is refused, without its name, which comes first."""
    with pytest.raises(ImageError) as error:
        CaseReader().get_data(path)
    return str(error.value).removeprefix(f"{path}: ")


def sheared(affine: np.ndarray, amount: float) -> np.ndarray:
    """The last axis leans over by a share of its length."""
    affine = affine.copy()
    affine[:3, 2] += amount * np.linalg.norm(affine[:3, 2]) * affine[:3, 1] / np.linalg.norm(affine[:3, 1])
    return affine


class TestVoxels:
    @pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "A.NII.GZ"])
    def test_compressed_or_not(self, a_volume: Callable[..., Path], tmp_path: Path, name: str) -> None:
        path = a_volume("a.nii" if name == "a.nii" else "a.nii.gz", size=(20, 24, 6)).rename(tmp_path / name)
        volume = load(path)
        assert volume.dtype == torch.int16
        assert np.array_equal(volume.numpy(), np.random.default_rng(0).integers(0, 1000, (20, 24, 6)))

    @pytest.mark.parametrize("byte_order", ["<", ">"])
    @pytest.mark.parametrize("kind", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"])
    def test_types(self, a_volume: Callable[..., Path], kind: str, byte_order: str) -> None:
        voxels = np.random.default_rng(0).integers(0, 100, (6, 5, 4)).astype(f"{byte_order}{kind}")
        array, _ = CaseReader().get_data(a_volume(voxels=voxels))
        assert array.dtype == np.dtype(kind)
        assert np.array_equal(array, voxels)

    @pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
    def test_scaled(self, tmp_path: Path, dtype: type) -> None:
        """A header may hold a slope and an intercept."""
        voxels = np.random.default_rng(0).integers(0, 100, (6, 5, 4)).astype(dtype)
        image = nib.Nifti1Image(voxels, np.diag([-1.0, -1.0, 1.0, 1.0]))
        image.header.set_slope_inter(0.5, -3)
        nib.save(image, tmp_path / "scaled.nii")
        volume = load(tmp_path / "scaled.nii")
        assert volume.dtype == (torch.float64 if dtype is np.int32 else torch.float32)  # as exact as the file
        assert np.array_equal(volume.numpy(), nib.load(tmp_path / "scaled.nii").get_fdata())

    @pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
    @pytest.mark.parametrize("byte_order", ["<", ">"])
    def test_nifti_2(self, tmp_path: Path, oblique: np.ndarray, byte_order: str, name: str) -> None:
        voxels = np.random.default_rng(0).integers(0, 100, (6, 5, 4)).astype(f"{byte_order}i2")
        nib.save(nib.Nifti2Image(voxels, oblique, nib.Nifti2Header(endianness=byte_order)), tmp_path / name)
        volume = load(tmp_path / name)
        assert np.array_equal(volume.numpy(), voxels)
        assert volume.affine.numpy() == pytest.approx(oblique, abs=1e-12)  # 64 bits

    def test_colours(self, tmp_path: Path) -> None:
        colours = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3)).astype(np.uint8)
        voxels = np.ascontiguousarray(colours).view(np.dtype([(name, "u1") for name in "RGB"]))[..., 0]
        nib.save(nib.Nifti1Image(voxels, np.diag([-1.0, -1.0, 1.0, 1.0])), tmp_path / "a.nii")
        image = EnsureChannelFirst()(load(tmp_path / "a.nii"))
        assert np.array_equal(image.numpy(), np.moveaxis(colours, -1, 0))

    def test_whole_with_its_last_voxel(self, a_volume: Callable[..., Path]) -> None:
        """A file may go on behind it, be compressed in parts, or have a name that says that it is not, or is."""
        path = a_volume("a.nii")
        expected = load(path)
        content = path.read_bytes()
        path.write_bytes(content + b"\0" * 100)
        assert torch.equal(load(path), expected)
        packed = path.with_name("b.nii.gz")
        packed.write_bytes(gzip.compress(content[:1000]) + gzip.compress(content[1000:]))
        assert torch.equal(load(packed), expected)
        packed.write_bytes(content)
        assert torch.equal(load(packed), expected)
        path.write_bytes(gzip.compress(content))
        assert torch.equal(load(path), expected)

    def test_a_fourth_axis_of_one(self, a_volume: Callable[..., Path]) -> None:
        assert EnsureChannelFirst()(load(a_volume(size=(8, 9, 5, 1)))).shape == (1, 8, 9, 5)


class TestGeometry:
    @pytest.fixture
    def write(self, tmp_path: Path) -> Callable[..., Path]:
        """Writes a file of which the header has a qform, an sform, both or neither."""

        def write(
            qform: np.ndarray | None = None, sform: np.ndarray | None = None, codes: tuple[int, int] = (1, 1)
        ) -> Path:
            image = nib.Nifti1Image(np.random.default_rng(0).integers(0, 99, (6, 5, 4)).astype(np.int16), None)
            image.header.set_xyzt_units("mm")
            image.set_qform(qform, codes[0] if qform is not None else 0)
            image.set_sform(sform, codes[1] if sform is not None else 0)
            nib.save(image, tmp_path / "a.nii")
            return tmp_path / "a.nii"

        return write

    @pytest.mark.parametrize("flipped", [(), (0,), (1,), (2,), (0, 1), (0, 1, 2)], ids=str)
    def test_of_one_form(self, write: Callable[..., Path], oblique: np.ndarray, flipped: tuple[int, ...]) -> None:
        """ITK combines the directions of a lone sform with spacings from elsewhere."""
        affine = oblique @ np.diag([-1.0 if axis in flipped else 1.0 for axis in range(4)])
        for forms in ({"sform": affine}, {"qform": affine}):
            path = write(**forms)
            volume = load(path)
            assert volume.affine.numpy() == pytest.approx(nib.load(path).affine, abs=1e-5)
            assert volume.affine.numpy() == pytest.approx(affine, abs=1e-4)  # 32 bits of numbers up to 71

    @pytest.mark.parametrize("codes", [(1, 1), (1, 2), (2, 1), (1, 4), (4, 1)], ids=str)
    def test_of_two_forms_that_differ(
        self, write: Callable[..., Path], oblique: np.ndarray, codes: tuple[int, int]
    ) -> None:
        """The sform, as in the standard; ITK sometimes takes the qform."""
        moved = oblique.copy()
        moved[:3, 3] += [5, -6, 7]
        path = write(oblique, moved, codes)
        assert load(path).affine.numpy() == pytest.approx(nib.load(path).affine, abs=1e-5)
        assert load(path).affine.numpy() == pytest.approx(moved, abs=1e-4)

    def test_of_no_form(self, write: Callable[..., Path]) -> None:
        """Nothing is known but the spacing; as ITK and so Slicer place it."""
        assert np.array_equal(load(write()).affine.numpy(), np.diag([-1.0, -1.0, 1.0, 1.0]))

    def test_of_a_header_to_mend(
        self, write: Callable[..., Path], oblique: np.ndarray, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Without a handedness, which then is 1, and with an sform of no known kind; not worth a word."""
        path = write(qform=oblique)
        content = bytearray(path.read_bytes())
        handedness = np.frombuffer(content, "<f4", 1, offset=76)[0]
        content[76:80] = bytes(4)
        content[254] = 9
        path.write_bytes(content)
        assert load(path).affine.numpy() == pytest.approx(oblique @ np.diag([1, 1, handedness, 1]), abs=1e-4)
        assert not [record for record in caplog.records if record.name.startswith("nibabel")]

    @pytest.mark.parametrize(("unit", "factor"), [("meter", 1000), ("micron", 0.001), ("unknown", 1)])
    def test_of_other_units(self, write: Callable[..., Path], oblique: np.ndarray, unit: str, factor: float) -> None:
        """In millimetres, as everywhere."""
        image = nib.load(write(sform=oblique))
        image.header.set_xyzt_units(unit)
        nib.save(image, image.get_filename().replace("a.nii", "b.nii"))
        volume = load(Path(image.get_filename().replace("a.nii", "b.nii")))
        assert volume.affine.numpy()[:3] == pytest.approx(oblique[:3] * factor, rel=1e-6)

    def test_in_two_dimensions(self, a_volume: Callable[..., Path], oblique: np.ndarray) -> None:
        """A picture in its plane, or a volume of one slice that lies anywhere."""
        assert load(a_volume(size=(30, 20))).affine.shape == (3, 3)
        volume = load(a_volume(size=(30, 20), affine=oblique))
        assert volume.shape == (30, 20, 1)
        assert volume.affine.numpy() == pytest.approx(oblique, abs=1e-4)

    @pytest.mark.parametrize("name", range(5))
    def test_of_real_volumes(self, shared: Path, name: int) -> None:
        path = sorted((shared / "data" / "flair").glob("*.nii.gz"))[name]
        volume, expected = load(path), nib.load(path)
        assert volume.affine.numpy() == pytest.approx(expected.affine, abs=1e-5)
        assert np.array_equal(volume.numpy(), np.asanyarray(expected.dataobj))

    def test_sheared(self, write: Callable[..., Path], oblique: np.ndarray) -> None:
        assert load(write(sform=sheared(oblique, 1e-5))).shape == (6, 5, 4)
        for forms in ({}, {"qform": oblique}):
            assert refusal(write(sform=sheared(oblique, 0.01), **forms)).startswith(
                "the axes of the voxels are not perpendicular"
            )

    @pytest.mark.parametrize("column", [0, 2])
    def test_flat(self, write: Callable[..., Path], oblique: np.ndarray, column: int) -> None:
        oblique[:3, column] = 0
        assert refusal(write(sform=oblique)) == "the header gives the voxels no size; export the image again."


class TestRefused:
    @pytest.mark.parametrize("kept", [0.01, 0.5, 0.99])
    @pytest.mark.parametrize("size", [(20, 24, 6), (30, 20)], ids=str)
    @pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
    def test_cut_short(self, a_volume: Callable[..., Path], name: str, size: tuple[int, ...], kept: float) -> None:
        """ITK reads it and fills up with zeros."""
        path = a_volume(name, size=size)
        load(path)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
        assert refusal(path) == DAMAGED

    @pytest.mark.parametrize("num_behind", [0, 10**6])
    @pytest.mark.parametrize("place", [-2000, -6])
    def test_a_byte_that_changed(self, a_volume: Callable[..., Path], place: int, num_behind: int) -> None:
        """In the compressed voxels, and in the checksum itself, however much is between them."""
        path = a_volume("a.nii")
        content = bytearray(gzip.compress(path.read_bytes() + bytes(num_behind)))
        path = path.with_name("a.nii.gz")
        content[place] ^= 0xFF
        path.write_bytes(content)
        assert refusal(path) == DAMAGED

    @pytest.mark.parametrize(("size", "count"), [((8, 9, 5, 2), 2), ((8, 9, 5, 3), 3), ((8, 9, 5, 1, 3), 3)], ids=str)
    def test_several_volumes(self, a_volume: Callable[..., Path], size: tuple[int, ...], count: int) -> None:
        """A series over time, several sequences, or vectors."""
        assert refusal(a_volume(size=size)) == (
            f"the file holds {count} volumes; save the one to look at in a file of its own."
        )

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8"])
    @pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
    def test_no_numbers(self, a_volume: Callable[..., Path], name: str, dtype: str, value: float) -> None:
        """ITK reads it and makes them zero."""
        voxels = np.random.default_rng(0).random((6, 5, 4)).astype(dtype)
        load(a_volume(name, voxels))
        voxels[2, 3, 1] = value
        assert refusal(a_volume(name, voxels)) == (
            "some pixels are NaN or infinite; replace them or leave the image out."
        )

    def test_complex_numbers(self, a_volume: Callable[..., Path]) -> None:
        voxels = np.random.default_rng(0).random((6, 5, 4)).astype(np.complex64)
        assert refusal(a_volume(voxels=voxels)) == (
            "the voxels are complex or of a rare type; save the image as plain numbers."
        )

    @pytest.mark.parametrize("side", [0, -5, 400, 30000])
    @pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
    def test_sizes_that_cannot_be(self, a_volume: Callable[..., Path], name: str, side: int) -> None:
        """Before memory is filled for them."""
        path = a_volume("a.nii")
        content = bytearray(path.read_bytes())
        for axis in range(3):
            content[42 + 2 * axis : 44 + 2 * axis] = side.to_bytes(2, "little", signed=True)
        path.with_name(name).write_bytes(gzip.compress(content) if name == "a.nii.gz" else content)
        tracemalloc.start()
        try:
            assert refusal(path.with_name(name)) == DAMAGED
            assert tracemalloc.get_traced_memory()[1] < 1e7  # 1.3e8 bytes would be 400 voxels a side
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize("content", [b"n", b"hello " * 10, b"hello " * 1000])
    @pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
    def test_something_else(self, tmp_path: Path, name: str, content: bytes) -> None:
        for written in (content, gzip.compress(content)):
            (tmp_path / name).write_bytes(written)
            assert refusal(tmp_path / name) == DAMAGED
