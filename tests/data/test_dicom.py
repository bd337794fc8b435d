"""Single DICOM files: slices, radiographs, volumes of frames, and what is no image at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from monai.data import MetaTensor
from monai.transforms import EnsureChannelFirst, LoadImage
from pydicom import Dataset

from monai_sagan.data import CaseReader, list_cases
from monai_sagan.data.radiograph import as_shown
from monai_sagan.errors import ImageError

DAMAGED = "the file is damaged or not an image; copy it again or leave it out."


def load(path: Path) -> MetaTensor:
    return LoadImage(reader=CaseReader(), dtype=None)(path)


def refusal(path: Path) -> str:
    """The reason for which a file is refused, without its name, which comes first."""
    with pytest.raises(ImageError) as error:
        CaseReader().get_data(path)
    return str(error.value).removeprefix(f"{path}: ")


def random_pixels(low: int, high: int, dtype: str = "<u2") -> np.ndarray:
    return np.random.default_rng(0).integers(low, high, (20, 30)).astype(dtype)


class TestPixels:
    def test_voxels_and_geometry(self, a_dicom: Callable[..., Path]) -> None:
        pixels = random_pixels(0, 4096)
        volume = load(a_dicom(pixels=pixels))
        assert volume.shape == (30, 20, 1)
        assert np.array_equal(volume.numpy()[..., 0], pixels.T)
        # Spacing between rows is 0.5, between columns 0.25; one slice has no spacing to another. LPS to RAS.
        expected = np.array([[-0.25, 0, -1], [0, -0.5, -2], [0, 0, 7], [0, 0, 1]])
        assert volume.affine.numpy()[:, [0, 1, 3]] == pytest.approx(expected, abs=1e-9)  # decimal numbers, 64 bits

    @pytest.mark.parametrize(
        ("dtype", "bits", "low", "high"),
        [("u1", 8, 0, 256), ("<u2", 12, 0, 4096), ("<u2", 16, 0, 65536), ("<i2", 12, -2048, 2048), ("<i2", 16, -9, 9)],
    )
    @pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (2, -1024), (0.5, 0.25)])
    def test_depths_and_rescaling(
        self, a_dicom: Callable[..., Path], dtype: str, bits: int, low: int, high: int, slope: float, intercept: float
    ) -> None:
        pixels = random_pixels(low, high, dtype)
        path = a_dicom(
            pixels=pixels,
            BitsStored=bits,
            PixelRepresentation=int(low < 0),
            RescaleSlope=slope,
            RescaleIntercept=intercept,
        )
        assert np.array_equal(load(path).numpy()[..., 0], slope * pixels.T.astype(float) + intercept)

    @pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (2, -1024)])
    def test_monochrome1_is_inverted(self, a_dicom: Callable[..., Path], slope: float, intercept: float) -> None:
        """High values are dark in it, and bright in everything else."""
        pixels = random_pixels(0, 4096)
        path = a_dicom(
            pixels=pixels,
            PhotometricInterpretation="MONOCHROME1",
            RescaleSlope=slope,
            RescaleIntercept=intercept,
        )
        assert np.array_equal(load(path).numpy()[..., 0], slope * (4095 - pixels.T.astype(int)) + intercept)

    @pytest.mark.parametrize("kind", ["JPEG", "JPEG2000"])
    def test_compressed(self, tmp_path: Path, kind: str) -> None:
        """Without loss, all of them; and cut short they are refused."""
        pixels = random_pixels(0, 4096, "u2")
        writer = sitk.ImageFileWriter()
        writer.UseCompressionOn()
        writer.SetImageIO("GDCMImageIO")
        path = tmp_path / "a.dcm"
        writer.SetCompressor(kind)
        writer.SetFileName(str(path))
        writer.Execute(sitk.GetImageFromArray(pixels[None]))
        assert pydicom.dcmread(path).file_meta.TransferSyntaxUID.is_compressed
        assert np.array_equal(load(path).numpy()[..., 0], pixels.T)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        assert refusal(path) == DAMAGED

    def test_colours(self, a_dicom: Callable[..., Path]) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype("u1")
        image = EnsureChannelFirst()(load(a_dicom(pixels=pixels)))
        assert np.array_equal(image.numpy()[..., 0], pixels.transpose(2, 1, 0))

    @pytest.mark.parametrize("name", ["slice", "slice.IMA", "1.2.840.113619", "slice.dicom"])
    def test_any_name(self, a_dicom: Callable[..., Path], name: str) -> None:
        path = a_dicom(name)
        assert CaseReader().verify_suffix([path])
        assert load(path).shape == (30, 20, 1)

    def test_without_the_mark_at_its_beginning(self, a_dicom: Callable[..., Path]) -> None:
        path = a_dicom()
        path.write_bytes(path.read_bytes()[132:])
        assert load(path).shape == (30, 20, 1)

    def test_nothing_of_the_patient_is_kept(self, a_dicom: Callable[..., Path]) -> None:
        path = a_dicom()
        assert b"Doe^Jane" in path.read_bytes()
        _, meta = CaseReader().get_data(path)
        geometry = {"affine", "original_affine", "space", "spatial_shape", "original_channel_dim"}
        assert set(meta) == {*geometry, "modality"}
        assert meta["modality"] == "CT"
        text = str(load(path).meta)
        for private in ("Doe", "Jane", "4711", "19700102", "Elsewhere", "1.2.3"):
            assert private not in text

    def test_what_is_no_word_for_a_modality_is_not_kept(self, a_dicom: Callable[..., Path]) -> None:
        _, meta = CaseReader().get_data(a_dicom(Modality="DOE JANE"))
        assert "modality" not in meta


class TestWindows:
    """Of radiographs: what a viewer shows at first."""

    @pytest.fixture
    def a_radiograph(self, a_dicom: Callable[..., Path]) -> Callable[..., Path]:
        def write(pixels: np.ndarray, **attributes: Any) -> Path:
            nowhere = {"ImagePositionPatient": None, "ImageOrientationPatient": None}
            return a_dicom("radiograph.dcm", pixels, **(nowhere | {"Modality": "DX"} | attributes))

        return write

    @pytest.mark.parametrize("modality", ["CR", "DX", "DR", "RG", "MG", "RF", "XA", "IO", "PX"])
    def test_of_projections(self, a_radiograph: Callable[..., Path], modality: str) -> None:
        pixels = random_pixels(0, 4096)
        path = a_radiograph(pixels, Modality=modality, WindowCenter=[1000, 500], WindowWidth=[400, 50])
        # PS3.3 C.11.2.1.2: from 800 to 1199 for the first window, to the whole range.
        expected = np.clip((pixels.T - 999.5) / 399 + 0.5, 0, 1) * 4095
        assert load(path).numpy()[..., 0] == pytest.approx(expected, abs=1e-6)

    def test_where_high_values_are_dark(self, a_radiograph: Callable[..., Path]) -> None:
        pixels = random_pixels(0, 4096)
        window = {"WindowCenter": 1000, "WindowWidth": 400, "RescaleSlope": 2, "RescaleIntercept": -100}
        plain = load(a_radiograph(pixels, **window)).numpy()
        inverted = load(a_radiograph(pixels, PhotometricInterpretation="MONOCHROME1", **window)).numpy()
        assert plain.min() == -100
        assert plain.max() == 2 * 4095 - 100
        assert inverted == pytest.approx(2 * 4095 - 200 - plain, abs=1e-6)

    @pytest.mark.parametrize("modality", ["CT", "MR", "US"])
    def test_not_of_others(self, a_radiograph: Callable[..., Path], modality: str) -> None:
        pixels = random_pixels(0, 4096)
        path = a_radiograph(pixels, Modality=modality, WindowCenter=1000, WindowWidth=400)
        assert np.array_equal(load(path).numpy()[..., 0], pixels.T)

    @pytest.mark.parametrize("width", [None, 0, 0.5, -5])  # a linear one is 1 at least
    def test_none_that_is_allowed(self, a_radiograph: Callable[..., Path], width: float | None) -> None:
        pixels = random_pixels(0, 4096)
        path = a_radiograph(pixels, WindowCenter=1000, WindowWidth=width)
        assert np.array_equal(load(path).numpy()[..., 0], pixels.T)

    @pytest.mark.parametrize("bits", [8, 12])
    @pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
    def test_tables(self, a_radiograph: Callable[..., Path], photometric: str, bits: int) -> None:
        """A table of more entries than an entry of eight bits could count."""
        pixels = random_pixels(0, 4096)
        table = (np.linspace(0, 1, 1000) ** 2 * (2**bits - 1)).astype(int)
        item = Dataset()
        item.LUTDescriptor, item.LUTData = [1000, 500, bits], table.astype("<u2").tobytes()
        path = a_radiograph(pixels, PhotometricInterpretation=photometric, VOILUTSequence=[item])
        expected = table[np.clip(pixels.T.astype(int) - 500, 0, 999)]
        if photometric == "MONOCHROME1":
            expected = table[-1] - expected
        assert np.array_equal(load(path).numpy()[..., 0], expected)

    def test_a_table_of_the_modality_comes_first(self, a_radiograph: Callable[..., Path]) -> None:
        pixels = random_pixels(0, 4096)
        item = Dataset()
        item.LUTDescriptor, item.ModalityLUTType = [4096, 0, 16], "US"
        item.LUTData = np.arange(4095, -1, -1).astype("<u2").tobytes()
        path = a_radiograph(
            pixels,
            ModalityLUTSequence=[item],
            RescaleSlope=None,
            RescaleIntercept=None,
        )
        assert np.array_equal(load(path).numpy()[..., 0], 4095 - pixels.T)


class TestFrames:
    def test_a_volume(self, an_enhanced_file: Callable[..., Path], oblique: np.ndarray) -> None:
        """Frames in any order."""
        voxels = np.random.default_rng(0).integers(0, 4096, (6, 5, 4)).astype("<u2")
        volume = load(an_enhanced_file(voxels, oblique, [2, 0, 3, 1]))
        assert np.array_equal(volume.numpy(), voxels)
        assert volume.affine.numpy() == pytest.approx(oblique, abs=1e-5)

    def test_several_at_one_place(self, an_enhanced_file: Callable[..., Path], oblique: np.ndarray) -> None:
        voxels = np.random.default_rng(0).integers(0, 4096, (6, 5, 4)).astype("<u2")
        assert refusal(an_enhanced_file(voxels, oblique, [0, 1, 2, 3, 0, 1, 2, 3])) == (
            "4 of the 8 images lie where another one does, perhaps because they are several time points or echoes; "
            "give those of one volume only."
        )

    def test_scaled_by_different_factors(self, an_enhanced_file: Callable[..., Path], oblique: np.ndarray) -> None:
        voxels = np.random.default_rng(0).integers(0, 4096, (6, 5, 4)).astype("<u2")
        path = an_enhanced_file(voxels, oblique, [0, 1, 2, 3], {2: 3.0})
        assert refusal(path) == "the frames are scaled differently; export them as a series of single files."

    def test_without_a_place(self, a_dicom: Callable[..., Path]) -> None:
        """Ultrasound, for example."""
        frames = np.random.default_rng(0).integers(0, 4096, (7, 20, 30)).astype("<u2")
        path = a_dicom(pixels=frames, NumberOfFrames=7, Modality="US", ImagePositionPatient=None)
        assert refusal(path) == "the file holds 7 frames; save the one to look at as a file of its own."


class TestRefused:
    @pytest.mark.parametrize(
        ("uid", "name"),
        [
            ("1.2.840.10008.5.1.4.1.1.104.1", "Encapsulated PDF Storage"),
            ("1.2.840.10008.5.1.4.1.1.88.11", "Basic Text SR Storage"),
            ("1.2.840.10008.5.1.4.1.1.481.3", "RT Structure Set Storage"),
            ("1.2.840.10008.5.1.4.1.1.11.1", "Grayscale Softcopy Presentation State Storage"),
            ("1.2.3.4.5", "an object of a private kind"),
        ],
    )
    def test_no_image(self, a_dicom: Callable[..., Path], uid: str, name: str) -> None:
        path = a_dicom(SOPClassUID=uid, Rows=None, Columns=None, PixelData=None)
        assert refusal(path) == f"the file holds no image but: {name}; leave it out."

    @pytest.mark.parametrize(
        ("uid", "name"),
        [
            ("1.2.840.10008.5.1.4.1.1.66.4", "Segmentation Storage"),
            ("1.2.840.10008.5.1.4.1.1.30", "Parametric Map Storage"),
        ],
    )
    def test_what_was_found_in_another_image(self, a_dicom: Callable[..., Path], uid: str, name: str) -> None:
        assert refusal(a_dicom(SOPClassUID=uid)) == f"the file holds no image but: {name}; leave it out."

    def test_no_pixels(self, a_dicom: Callable[..., Path]) -> None:
        expected = "the file has no pixel data; copy it again or leave it out."
        assert refusal(a_dicom(PixelData=None)) == expected
        assert refusal(a_dicom(PixelData=None, Rows=None)) == expected

    @pytest.mark.parametrize("kept", [150, 300, -200])
    def test_cut_short(self, a_dicom: Callable[..., Path], kept: int) -> None:
        path = a_dicom()
        path.write_bytes(path.read_bytes()[:kept])
        assert refusal(path) in (DAMAGED, "the file has no pixel data; copy it again or leave it out.")

    @pytest.mark.parametrize(
        ("value", "nonsense", "reason"),
        [
            (b"1.0\\2.0\\7.0", b"one\\two\\six", "the header does not tell where the slice lies; leave it out."),
            (b"IS\x02\x0012", b"IS\x02\x00ab", DAMAGED),  # NumberOfFrames
        ],
    )
    def test_a_header_without_sense(
        self, a_dicom: Callable[..., Path], value: bytes, nonsense: bytes, reason: str
    ) -> None:
        """Listed as an image all the same, and refused alone."""
        path = a_dicom(NumberOfFrames=12)
        assert path.read_bytes().count(value) == 1
        path.write_bytes(path.read_bytes().replace(value, nonsense).replace(b"IS\x02\x0012", b"IS\x02\x001 "))
        assert len(list_cases([path.parent])) == 1
        assert refusal(path) == reason

    def test_a_text(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "letter.dcm"
        path.write_text("Dear colleague,\nthank you for the images.\n" * 50)
        assert refusal(path) == DAMAGED
        assert capfd.readouterr().err == ""


def test_colours_have_no_window() -> None:
    header = Dataset()
    header.PhotometricInterpretation, header.WindowCenter, header.WindowWidth, header.BitsStored = "RGB", 10, 5, 8
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3)).astype(np.uint8)
    assert as_shown(pixels, header) is pixels
