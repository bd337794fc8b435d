"""The same volume in every format that is read: the same voxels at the same place."""

from __future__ import annotations

import locale
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from monai.data import MetaTensor
from monai.transforms import EnsureChannelFirst, LoadImage

from monai_sagan.data import CaseReader
from monai_sagan.errors import ImageError
from monai_sagan.results import write_image

# Format, by the ending, and whether SimpleITK compresses it.
FORMATS = [
    ("nii", False),
    ("nii.gz", True),
    ("nrrd", False),
    ("nrrd", True),
    ("nhdr", False),
    ("nhdr", True),
    ("mha", False),
    ("mha", True),
    ("mhd", False),
    ("mhd", True),
]
GEOMETRIES = ["anisotropic", "oblique", "left-handed", "flipped x", "flipped y", "flipped z", "permuted"]


def load(path: Path) -> MetaTensor:
    return LoadImage(reader=CaseReader(), dtype=None)(path)


def refusal(path: Path) -> str:
    """The reason for which a file is refused, without its name, which comes first."""
    with pytest.raises(ImageError) as error:
        CaseReader().get_data(path)
    return str(error.value).removeprefix(f"{path}: ")


def as_itk(voxels: np.ndarray, affine: np.ndarray) -> sitk.Image:
    """An image of SimpleITK from voxels (x, y, z) and an affine to RAS."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image = sitk.GetImageFromArray(voxels.T)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


def affine_of(path: Path) -> np.ndarray:
    """What another reader finds: nibabel of NIfTI, SimpleITK of the others."""
    if path.name.endswith((".nii", ".nii.gz")):
        return nib.load(path).affine
    image = sitk.ReadImage(str(path))
    lps = np.eye(4)
    lps[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    lps[:3, 3] = image.GetOrigin()
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps


@pytest.fixture
def geometry(request: pytest.FixtureRequest, oblique: np.ndarray) -> np.ndarray:
    """An affine by its name."""
    u, _, v = np.linalg.svd(oblique[:3, :3])
    oblique[:3, :3] = (u @ v) * [0.7, 1.1, 4.8]  # perpendicular to the last digit
    scale = np.array([0.5, 0.75, 5.0, 1.0])
    origin = np.eye(4)
    origin[:3, 3] = [10.5, -20.25, 30.125]
    flips = {"flipped x": [1, -1, 1, 1], "flipped y": [-1, 1, 1, 1], "flipped z": [-1, -1, -1, 1]}
    return {
        "anisotropic": origin @ np.diag(scale * [-1, -1, 1, 1]),
        "oblique": oblique,
        "left-handed": oblique @ np.diag([-1.0, 1.0, 1.0, 1.0]),
        "permuted": origin @ np.diag(scale)[[1, 2, 0, 3]],
        **{name: origin @ np.diag(scale * signs) for name, signs in flips.items()},
    }[request.param]


class TestGeometry:
    @pytest.mark.parametrize("geometry", GEOMETRIES, indirect=True)
    @pytest.mark.parametrize(("ending", "compress"), FORMATS)
    def test_of_synthetic_volumes(self, tmp_path: Path, geometry: np.ndarray, ending: str, compress: bool) -> None:
        voxels = np.random.default_rng(0).integers(0, 1000, (6, 5, 4)).astype(np.int16)
        path = tmp_path / f"a.{ending}"
        sitk.WriteImage(as_itk(voxels, geometry), str(path), compress)
        volume = load(path)
        assert np.array_equal(volume.numpy(), voxels)
        assert volume.affine.numpy() == pytest.approx(affine_of(path), abs=1e-5)
        assert volume.affine.numpy() == pytest.approx(geometry, abs=1e-5)
        assert volume.meta["original_affine"] == pytest.approx(geometry, abs=1e-5)

    @pytest.mark.parametrize("number", range(5))
    def test_of_real_volumes(self, shared: Path, tmp_path: Path, number: int, a_series: Callable[..., Path]) -> None:
        """The same in NRRD, in MetaImage and as a DICOM series."""
        original = nib.load(sorted((shared / "data" / "flair").glob("*.nii.gz"))[number])
        voxels, affine = np.asanyarray(original.dataobj).astype("<u2"), original.affine
        for ending in ("nrrd", "mha"):
            path = tmp_path / f"a.{ending}"
            sitk.WriteImage(as_itk(voxels, affine), str(path))
            volume = load(path)
            assert np.array_equal(volume.numpy(), voxels)
            assert volume.affine.numpy() == pytest.approx(affine_of(path), abs=1e-5)
            assert volume.affine.numpy() == pytest.approx(affine, abs=1e-4)  # 32 bits in the original
        series = load(a_series(voxels=voxels, affine=affine, BitsStored=16))
        index = np.linalg.inv(series.affine.numpy()) @ affine  # from the original's voxels to the series'
        corners = np.array([[0, 0, 0, 1], [*(np.array(voxels.shape) - 1), 1]]).T
        there = index @ corners
        assert there == pytest.approx(np.rint(there), abs=1e-3)
        in_order = series.numpy() if index[2, 2] > 0 else series.numpy()[..., ::-1]
        assert np.array_equal(in_order, voxels)

    def test_sheared(self, tmp_path: Path) -> None:
        """NRRD can be, and ITK says nothing."""
        header = (
            b"NRRD0005\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 6 5 4\n"
            b"space directions: (1,0,0) (0,1,0) (0,0.3,1)\nendian: little\nencoding: raw\nspace origin: (0,0,0)\n\n"
        )
        (tmp_path / "a.nrrd").write_bytes(header + np.arange(120, dtype="<i2").tobytes())
        assert refusal(tmp_path / "a.nrrd").startswith("the axes of the voxels are not perpendicular")


class TestSeveralVolumes:
    """They are no channels, and three of them are no colours."""

    @pytest.mark.parametrize("ending", ["nrrd", "mha", "mhd"])
    def test_on_a_fourth_axis(self, tmp_path: Path, ending: str) -> None:
        image = sitk.GetImageFromArray(np.arange(120, dtype=np.int16).reshape(4, 5, 6))
        sitk.WriteImage(sitk.JoinSeries([image] * 3), str(tmp_path / f"a.{ending}"))
        assert refusal(tmp_path / f"a.{ending}") == (
            "the file holds 3 volumes; save the one to look at in a file of its own."
        )

    @pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
    @pytest.mark.parametrize("count", [2, 3, 4])
    @pytest.mark.parametrize("ending", ["nrrd", "mha", "mhd"])
    def test_as_vectors(self, tmp_path: Path, ending: str, count: int, dtype: type) -> None:
        values = np.random.default_rng(0).integers(0, 200, (4, 5, 6, count)).astype(dtype)
        sitk.WriteImage(sitk.GetImageFromArray(values, isVector=True), str(tmp_path / f"a.{ending}"))
        assert refusal(tmp_path / f"a.{ending}") == (
            f"the file holds {count} values a voxel (a sequence over time, or vectors); save the volume to look at "
            "in a file of its own."
        )

    @pytest.mark.parametrize("is_first", [True, False])
    def test_as_slicer_saves_a_sequence(self, tmp_path: Path, is_first: bool) -> None:
        axes = {
            "sizes": ["6", "5", "4"],
            "space directions": ["(1,0,0)", "(0,1,0)", "(0,0,1)"],
            "kinds": ["domain"] * 3,
        }
        for key, value in {"sizes": "3", "space directions": "none", "kinds": "list"}.items():
            axes[key].insert(0 if is_first else 3, value)
        lines = ["NRRD0005", "type: short", "dimension: 4", "space: left-posterior-superior"]
        lines += [f"{key}: {' '.join(values)}" for key, values in axes.items()]
        lines += ["endian: little", "encoding: raw", "space origin: (0,0,0)", "", ""]
        path = tmp_path / "a.seq.nrrd"
        path.write_bytes("\n".join(lines).encode() + np.arange(360, dtype="<i2").tobytes())
        assert refusal(path).startswith("the file holds 3 values a voxel (a sequence over time, or vectors); ")


def test_colours_of_nrrd(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (5, 6, 3)).astype(np.uint8)
    header = "NRRD0005\ntype: uchar\ndimension: 3\nsizes: 3 6 5\nkinds: RGB-color domain domain\nencoding: raw\n\n"
    (tmp_path / "a.nrrd").write_bytes(header.encode() + colours.tobytes())
    image = EnsureChannelFirst()(load(tmp_path / "a.nrrd"))
    assert np.array_equal(image.numpy(), colours.transpose(2, 1, 0))


@pytest.mark.parametrize("kind", [nib.AnalyzeImage, nib.Nifti1Pair])
def test_pairs_of_files_are_not_read_by_name_either(kind: type, tmp_path: Path) -> None:
    """As in a folder: ITK would read both, and guess which side of an Analyze image is left."""
    nib.save(kind(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4)), tmp_path / "pair.img")
    for path in (tmp_path / "pair.img", tmp_path / "pair.hdr"):
        with pytest.raises(ImageError, match=f"^{path}: this format is not read; convert to PNG or NIfTI.$"):
            CaseReader().get_data(path)


def test_dicom_is_read_whatever_its_name(a_dicom: Callable[..., Path]) -> None:
    array, _ = CaseReader().get_data(a_dicom("slice.img"))
    assert array.shape[:2] == (30, 20)


def test_keys_of_the_header_are_dropped(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.arange(120, dtype=np.int16).reshape(4, 5, 6))
    image.SetMetaData("PatientName", "Doe^Jane")
    for ending in ("nrrd", "mha"):
        sitk.WriteImage(image, str(tmp_path / f"a.{ending}"))
        assert b"Doe^Jane" in (tmp_path / f"a.{ending}").read_bytes()
        _, meta = CaseReader().get_data(tmp_path / f"a.{ending}")
        assert "Doe" not in str(meta)


@pytest.mark.parametrize("name", ["a.mha", "a.mhd", "a.nrrd", "a.dcm"])
def test_nothing_on_the_terminal(
    tmp_path: Path, a_dicom: Callable[..., Path], name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Libraries in C++ complain about a file that is cut short in their own words."""
    path = tmp_path / name
    if name == "a.dcm":
        a_dicom(name)
    else:
        sitk.WriteImage(sitk.GetImageFromArray(np.arange(120, dtype=np.int16).reshape(4, 5, 6)), str(path))
    for suffix in (".raw", path.suffix):
        half = path.with_suffix(suffix)
        if half.exists():
            half.write_bytes(half.read_bytes()[: half.stat().st_size * 2 // 3])
            break
    capfd.readouterr()
    assert refusal(path)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


class TestNames:
    @pytest.fixture
    def locales(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """What the C library is told on Windows."""
        told: list[str] = []
        monkeypatch.setattr(sys, "platform", "win32")
        monkeypatch.setattr(locale, "setlocale", lambda category, name: told.append(name))
        return told

    def test_itk_finds_them_whatever_their_letters(self, tmp_path: Path, locales: list[str]) -> None:
        """It opens files by C functions, which on Windows take a name for UTF-8 only where the locale says so."""
        path = tmp_path / "Müller" / "脳.nrrd"
        path.parent.mkdir()
        write_image(MetaTensor(np.arange(24.0).reshape(1, 2, 3, 4)), path)
        assert locales == [".UTF8"]
        assert np.array_equal(CaseReader().get_data(path)[0].ravel(), np.arange(24.0))
        assert locales == [".UTF8"] * 2

    def test_without_such_a_locale(self, tmp_path: Path, locales: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """As before Windows 10."""

        def refuse(category: int, name: str) -> None:
            raise locale.Error("unsupported locale setting")

        monkeypatch.setattr(locale, "setlocale", refuse)
        write_image(MetaTensor(np.arange(24.0).reshape(1, 2, 3, 4)), tmp_path / "a.nrrd")
        assert np.array_equal(CaseReader().get_data(tmp_path / "a.nrrd")[0].ravel(), np.arange(24.0))
