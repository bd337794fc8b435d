"""Every kind of file that people have: read as it should be, or refused with a sentence that helps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import ITKReader, MetaTensor
from monai.transforms import Compose, EnsureChannelFirstd, LoadImage, LoadImaged
from PIL import Image

from monai_sagan.data import IMAGE_SUFFIXES, CaseReader, is_image, stem
from monai_sagan.errors import ImageError, explain

DAMAGED = "the file is damaged or not an image; copy it again or leave it out"
CONSTANT = "every pixel has the same value"
NOT_FINITE = "some pixels are NaN or infinite"


def read(path: Path) -> tuple[np.ndarray, dict]:
    return CaseReader().get_data(CaseReader().read(path))


def load(path: Path) -> MetaTensor:
    return LoadImage(reader=CaseReader(), dtype=None)(path)


class TestRefused:
    @pytest.mark.parametrize("name", ["a.png", "a.nii.gz", "a.dcm"])
    def test_missing(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(ImageError) as error:
            read(tmp_path / name)
        assert str(error.value) == f"{tmp_path / name}: there is no such file."

    @pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
    def test_empty(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"a{suffix}"
        path.touch()
        with pytest.raises(ImageError, match="the file is empty; copy it again or leave it out"):
            read(path)

    @pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
    def test_text(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"a{suffix}"
        path.write_text("This is no image.\n" * 100)
        with pytest.raises(ImageError, match=DAMAGED):
            read(path)

    @pytest.mark.parametrize("kept", [0.5, 0.99])
    @pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.tif"])
    def test_picture_cut_short(self, a_picture: Callable[..., Path], name: str, kept: float) -> None:
        path = a_picture(name, size=(100, 80))
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
        with pytest.raises(ImageError, match=DAMAGED):
            read(path)

    def test_picture_of_several_pages(self, tmp_path: Path) -> None:
        pages = [Image.new("L", (40, 30), grey) for grey in (0, 90, 200)]
        pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
        with pytest.raises(ImageError, match=r"a.tif: the file holds 3 pictures; save each as a file of its own.$"):
            read(tmp_path / "a.tif")

    @pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
    def test_other_volume_cut_short(self, tmp_path: Path, name: str) -> None:
        sitk = pytest.importorskip("SimpleITK")
        path = tmp_path / name
        sitk.WriteImage(sitk.GetImageFromArray(np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7)), str(path))
        read(path)
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(ImageError, match=DAMAGED):
            read(path)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("name", ["a.nrrd", "a.mha", "a.tif"])
    def test_no_numbers(self, tmp_path: Path, name: str, value: float) -> None:
        sitk = pytest.importorskip("SimpleITK")
        pixels = np.random.default_rng(0).random((6, 5), dtype=np.float32)
        pixels[2, 3] = value
        sitk.WriteImage(sitk.GetImageFromArray(pixels), str(tmp_path / name))
        with pytest.raises(ImageError, match=NOT_FINITE):
            read(tmp_path / name)

    @pytest.mark.parametrize("value", [0, 7])
    def test_constant_volume(self, a_volume: Callable[..., Path], value: int) -> None:
        path = a_volume(voxels=np.full((6, 5, 4), value, dtype=np.int16))
        with pytest.raises(ImageError, match=CONSTANT):
            read(path)
        array, _ = CaseReader(allow_constant=True).get_data(path)
        assert np.unique(array) == [value]

    def test_constant_picture(self, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        Image.new("RGB", (8, 6), (9, 9, 9)).save(path)
        with pytest.raises(ImageError, match=CONSTANT):
            read(path)

    def test_the_sentence_survives_monai(self, tmp_path: Path) -> None:
        """Compose and LoadImage wrap errors, or try other readers."""
        path = tmp_path / "a.png"
        path.write_text("no image")
        with pytest.raises(Exception) as error:  # noqa: PT011 - which one is MONAI's affair
            Compose([LoadImaged("image", reader=CaseReader()), EnsureChannelFirstd("image")])({"image": str(path)})
        assert explain(error.value) == f"{path}: {DAMAGED}."


class TestPictures:
    """Arrays are x first: the transpose of PIL's rows and columns."""

    @pytest.mark.parametrize(
        ("name", "mode", "as_if"),
        [
            ("grey.png", "L", "L"),
            ("grey.jpg", "L", "L"),
            ("grey.bmp", "L", "L"),
            ("grey.tif", "L", "L"),
            ("grey with alpha.png", "LA", "L"),
            ("colour.png", "RGB", "RGB"),
            ("colour.jpg", "RGB", "RGB"),
            ("colour.JPEG", "RGB", "RGB"),
            ("colour with alpha.png", "RGBA", "RGBA"),
            ("palette.png", "P", "RGB"),
            ("palette.tiff", "P", "RGB"),
            ("inks.jpg", "CMYK", "RGB"),
            ("inks.tif", "CMYK", "RGB"),
            ("one bit.png", "1", "L"),
            ("one bit.tif", "1", "L"),
        ],
    )
    def test_modes(self, a_picture: Callable[..., Path], name: str, mode: str, as_if: str) -> None:
        path = a_picture(name, mode, size=(40, 30))
        with Image.open(path) as image:
            assert image.mode == mode
            expected = np.swapaxes(np.asarray(image.convert(as_if)), 0, 1)
        array, _ = read(path)
        assert array.dtype == np.uint8
        assert np.array_equal(array, expected)
        assert load(path).shape == expected.shape

    @pytest.mark.parametrize("name", ["deep.png", "deep.tif"])
    def test_16_bit(self, a_picture: Callable[..., Path], name: str) -> None:
        path = a_picture(name, "I;16")
        with Image.open(path) as image:
            expected = np.asarray(image).T
        assert expected.max() > 60000
        array, _ = read(path)
        assert np.array_equal(array, expected)
        assert np.array_equal(load(path).numpy(), expected)

    @pytest.mark.parametrize("byte_order", ["<", ">"])
    def test_16_bit_of_either_byte_order(self, tmp_path: Path, byte_order: str) -> None:
        pixels = np.random.default_rng(0).integers(0, 65536, (6, 8)).astype(f"{byte_order}u2")
        mode = "I;16" if byte_order == "<" else "I;16B"
        path = tmp_path / "deep.tif"
        Image.frombytes(mode, (8, 6), pixels.tobytes()).save(path)
        assert np.array_equal(load(path).numpy(), pixels.T)

    def test_floating_point(self, tmp_path: Path) -> None:
        pixels = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)
        path = tmp_path / "float.tif"
        Image.fromarray(pixels).save(path)
        assert np.array_equal(load(path).numpy(), pixels.T)

    # Colour in JPEG is left out: it is stored at half the size, and the two enlarge it in different ways.
    @pytest.mark.parametrize(
        ("name", "mode"),
        [(f"a{suffix}", mode) for suffix in (".png", ".bmp", ".tif") for mode in ("L", "RGB")] + [("a.jpg", "L")],
    )
    def test_pil_and_itk_see_the_same(self, a_picture: Callable[..., Path], name: str, mode: str) -> None:
        path = {"image": str(a_picture(name, mode, size=(40, 30)))}
        ours, itks = (
            Compose([LoadImaged("image", reader=reader, dtype=None), EnsureChannelFirstd("image")])(path)["image"]
            for reader in (CaseReader(), ITKReader())
        )
        assert ours.shape == (1 if mode == "L" else 3, 40, 30)
        # Two decoders of JPEG may round differently.
        tolerance = 2 if name.endswith("jpg") else 0
        assert int((ours.as_tensor().int() - itks.as_tensor().int()).abs().max()) <= tolerance
        assert torch.equal(ours.affine, itks.affine)
        assert torch.equal(ours.affine, torch.diag(torch.tensor([-1.0, -1.0, 1.0], dtype=ours.affine.dtype)))


class TestNames:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("brain.nii.gz", "brain"),
            ("brain.nii", "brain"),
            ("Brain.NII.GZ", "Brain"),
            ("a.b.png", "a.b"),
            ("x.jpeg", "x"),
            ("x.dicom", "x"),
            ("x.tar.gz", "x.tar"),
            ("no_ending", "no_ending"),
        ],
    )
    def test_stem(self, name: str, expected: str) -> None:
        assert stem(Path("folder") / name) == expected

    @pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
    def test_images(self, suffix: str) -> None:
        assert is_image(Path(f"a{suffix}"))
        assert is_image(Path(f"A{suffix.upper()}"))
        assert CaseReader().verify_suffix([f"a{suffix}", f"b{suffix}"])

    @pytest.mark.parametrize("name", ["a.txt", "a.gz", "png", "a.png.txt", "data.json", "a"])
    def test_no_images(self, name: str) -> None:
        assert not is_image(Path(name))
        assert not CaseReader().verify_suffix(["a.png", name])
