"""Every kind of file that people have: read as it should be, or refused with a sentence that helps."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import ITKReader, MetaTensor
from monai.transforms import Compose, EnsureChannelFirst, EnsureChannelFirstd, LoadImage, LoadImaged
from PIL import Image

from monai_sagan.data import IMAGE_SUFFIXES, CaseReader, find_images, is_image, stem
from monai_sagan.errors import ImageError, explain

DAMAGED = "the file is damaged or not an image; copy it again or leave it out"
CONSTANT = "every pixel has the same value"
NOT_FINITE = "some pixels are NaN or infinite"

# Oblique and anisotropic: a turn about two axes, three spacings, an origin.
OBLIQUE = np.array(
    [[-0.79, 0.35, 1.1, 12.5], [-0.41, -0.82, 0.3, -30.25], [-0.1, 0.22, 4.6, 71.0], [0.0, 0.0, 0.0, 1.0]]
)


def read(path: Path) -> tuple[np.ndarray, dict]:
    return CaseReader().get_data(CaseReader().read(path))


def load(path: Path) -> MetaTensor:
    return LoadImage(reader=CaseReader(), dtype=None)(path)


@pytest.fixture
def a_dicom(tmp_path: Path) -> Callable[..., Path]:
    """Writes a slice of 12-bit pixels, of a patient with a name."""
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    def write(
        name: str = "slice.dcm",
        pixels: np.ndarray | None = None,
        photometric: str = "MONOCHROME2",
        slope: float = 1,
        intercept: float = 0,
        slice_number: int = 0,
    ) -> Path:
        if pixels is None:
            pixels = np.random.default_rng(slice_number).integers(0, 4096, (20, 30))
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
        meta.MediaStorageSOPInstanceUID = f"1.2.3.{slice_number + 1}"
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        slice_ = FileDataset(str(tmp_path / name), {}, file_meta=meta, preamble=b"\0" * 128)
        slice_.SOPClassUID, slice_.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        slice_.SeriesInstanceUID, slice_.StudyInstanceUID = "1.2.3.100", "1.2.3.200"
        slice_.PatientName, slice_.PatientID, slice_.PatientBirthDate = "Doe^Jane", "4711-42", "19700102"
        slice_.InstitutionName, slice_.Modality = "Saint Elsewhere", "CT"
        slice_.Rows, slice_.Columns = pixels.shape
        slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, photometric
        slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit, slice_.PixelRepresentation = 16, 12, 11, 0
        slice_.RescaleSlope, slice_.RescaleIntercept = slope, intercept
        slice_.PixelSpacing, slice_.SliceThickness, slice_.InstanceNumber = [0.5, 0.25], 3, slice_number + 1
        slice_.ImagePositionPatient = [1, 2, 7 + 3 * slice_number]
        slice_.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        slice_.PixelData = pixels.astype("<u2").tobytes()
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        slice_.save_as(path, enforce_file_format=True)
        return path

    return write


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

    @pytest.mark.parametrize("kept", [0.01, 0.5, 0.99])
    @pytest.mark.parametrize("size", [(20, 24, 6), (30, 20)], ids=str)
    @pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
    def test_nifti_cut_short(
        self, a_volume: Callable[..., Path], name: str, size: tuple[int, ...], kept: float
    ) -> None:
        """ITK reads it and fills up with zeros."""
        path = a_volume(name, size=size)
        read(path)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
        with pytest.raises(ImageError, match=DAMAGED):
            read(path)

    @pytest.mark.parametrize(("size", "count"), [((8, 9, 5, 2), 2), ((8, 9, 5, 3), 3)], ids=str)
    def test_several_volumes(self, a_volume: Callable[..., Path], size: tuple[int, ...], count: int) -> None:
        """A series over time, or several sequences; MONAI takes them for channels, and three of those for colours."""
        with pytest.raises(
            ImageError, match=f"the file holds {count} volumes; save the one to look at in a file of its own"
        ):
            read(a_volume(size=size))

    def test_a_fourth_axis_of_one(self, a_volume: Callable[..., Path]) -> None:
        assert EnsureChannelFirst()(load(a_volume(size=(8, 9, 5, 1)))).shape == (1, 8, 9, 5)

    @pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
    def test_other_volume_cut_short(self, tmp_path: Path, name: str) -> None:
        sitk = pytest.importorskip("SimpleITK")
        path = tmp_path / name
        sitk.WriteImage(sitk.GetImageFromArray(np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7)), str(path))
        read(path)
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(ImageError, match=DAMAGED):
            read(path)

    def test_dicom_cut_short(self, a_dicom: Callable[..., Path]) -> None:
        path = a_dicom()
        path.write_bytes(path.read_bytes()[:-200])
        with pytest.raises(ImageError, match=DAMAGED):
            read(path)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8"])
    @pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
    def test_no_numbers_in_nifti(self, a_volume: Callable[..., Path], name: str, dtype: str, value: float) -> None:
        """ITK reads it and makes them zero."""
        voxels = np.random.default_rng(0).random((6, 5, 4)).astype(dtype)
        read(a_volume(name, voxels))
        voxels[2, 3, 1] = value
        with pytest.raises(ImageError, match=NOT_FINITE):
            read(a_volume(name, voxels))

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

    def test_folder_without_dicom(self, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match=DAMAGED):
            read(tmp_path)

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


class TestVolumes:
    @pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "A.NII.GZ"])
    def test_geometry_and_voxels_of_nifti(self, a_volume: Callable[..., Path], tmp_path: Path, name: str) -> None:
        u, _, v = np.linalg.svd(OBLIQUE[:3, :3])
        affine = OBLIQUE.copy()
        affine[:3, :3] = (u @ v) * [0.7, 1.1, 4.8]  # a proper rotation: ITK refuses what is skewed
        written = a_volume("a.nii" if name == "a.nii" else "a.nii.gz", size=(20, 24, 6), affine=affine)
        path = written.rename(tmp_path / name)
        volume = load(path)
        assert volume.dtype == torch.int16
        assert np.array_equal(volume.numpy(), np.random.default_rng(0).integers(0, 1000, (20, 24, 6)))
        # NIfTI holds geometry in 32 bits: seven digits of numbers up to 71.
        assert volume.affine.numpy() == pytest.approx(affine, abs=1e-5)
        assert volume.meta["original_affine"] == pytest.approx(affine, abs=1e-5)

    def test_scaled_integers(self, a_volume: Callable[..., Path], tmp_path: Path) -> None:
        """A header may hold a slope and an intercept."""
        voxels = np.random.default_rng(0).integers(0, 1000, (6, 5, 4)).astype(np.int16)
        image = nib.Nifti1Image(voxels, np.diag([-1.0, -1.0, 1.0, 1.0]))
        image.header.set_slope_inter(0.5, -3)
        nib.save(image, tmp_path / "scaled.nii")
        scaled = nib.load(tmp_path / "scaled.nii")
        assert np.array_equal(load(tmp_path / "scaled.nii").numpy(), scaled.get_fdata())

    def test_nifti_that_ends_with_its_last_voxel_is_whole(self, a_volume: Callable[..., Path]) -> None:
        """And one that goes on behind it, or whose name says that it is compressed and it is not."""
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

    @pytest.mark.parametrize("name", ["a.nrrd", "a.mha", "a.mhd", "a.nii.gz"])
    def test_formats_of_itk(self, tmp_path: Path, name: str) -> None:
        sitk = pytest.importorskip("SimpleITK")
        voxels = np.random.default_rng(0).integers(0, 1000, (4, 5, 6)).astype(np.int16)  # z, y, x
        image = sitk.GetImageFromArray(voxels)
        image.SetSpacing((0.5, 0.75, 3.0))
        image.SetOrigin((10.0, -20.0, 30.0))
        sitk.WriteImage(image, str(tmp_path / name))
        volume = load(tmp_path / name)
        assert np.array_equal(volume.numpy(), voxels.transpose(2, 1, 0))
        # LPS, which ITK has, to RAS, which MONAI has.
        expected = np.array([[-0.5, 0, 0, -10], [0, -0.75, 0, 20], [0, 0, 3, 30], [0, 0, 0, 1]])
        assert volume.affine.numpy() == pytest.approx(expected, abs=1e-5)  # 32 bits in NIfTI

    def test_real_volumes_keep_their_geometry(self, shared: Path) -> None:
        path = sorted((shared / "data" / "flair").glob("*.nii.gz"))[0]
        volume, expected = load(path), nib.load(path)
        assert volume.shape == expected.shape
        # Rotation by way of a quaternion in 32 bits, over 320 voxels: a thousandth of a millimetre.
        assert volume.affine.numpy() == pytest.approx(expected.affine, abs=1e-3)
        assert np.array_equal(volume.numpy(), np.asanyarray(expected.dataobj))


class TestDicom:
    def test_pixels_and_geometry(self, a_dicom: Callable[..., Path]) -> None:
        pixels = np.random.default_rng(0).integers(0, 4096, (20, 30))
        volume = load(a_dicom(pixels=pixels))
        assert volume.shape == (30, 20, 1)
        assert np.array_equal(volume.numpy()[..., 0], pixels.T)
        # Spacing between rows is 0.5, between columns 0.25; one slice has no spacing to another. LPS to RAS.
        expected = np.array([[-0.25, 0, -1], [0, -0.5, -2], [0, 0, 7], [0, 0, 1]])
        assert volume.affine.numpy()[:, [0, 1, 3]] == pytest.approx(expected, abs=1e-9)  # decimal numbers, 64 bits

    @pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (2, -1024)])
    def test_monochrome1_is_inverted(self, a_dicom: Callable[..., Path], slope: float, intercept: float) -> None:
        """High values are dark in it, and bright in everything else."""
        pixels = np.random.default_rng(0).integers(0, 4096, (20, 30))
        plain = load(a_dicom("2.dcm", pixels, "MONOCHROME2", slope, intercept)).numpy()
        inverted = load(a_dicom("1.dcm", pixels, "MONOCHROME1", slope, intercept)).numpy()
        assert np.array_equal(plain[..., 0], slope * pixels.T + intercept)
        assert np.array_equal(inverted[..., 0], slope * (4095 - pixels.T) + intercept)

    def test_tags_of_the_patient_are_dropped(self, a_dicom: Callable[..., Path]) -> None:
        path = a_dicom()
        assert b"Doe^Jane" in path.read_bytes()
        _, meta = read(path)
        for text in (str(meta), str(load(path).meta)):
            for private in ("Doe", "Jane", "4711", "19700102", "Elsewhere"):
                assert private not in text

    def test_a_folder_is_a_series(self, a_dicom: Callable[..., Path]) -> None:
        paths = [a_dicom(f"series/{name}.dcm", slice_number=number) for number, name in enumerate("cab")]
        volume = load(paths[0].parent)
        expected = [np.random.default_rng(number).integers(0, 4096, (20, 30)).T for number in range(3)]
        assert np.array_equal(volume.numpy(), np.stack(expected, axis=-1))
        assert float(volume.affine[2, 2]) == pytest.approx(3)


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

    def test_find_images(self, tmp_path: Path) -> None:
        found = ["a.png", "b/c.nii.gz", "b/d/E.JPG", "z.dcm"]
        others = ["notes.txt", ".hidden.png", "._a.png", ".cache/f.png", "b/.g/h.png", "b/data.json"]
        for name in found + others:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        (tmp_path / "folder.png").mkdir()
        assert find_images(tmp_path) == [tmp_path / name for name in found]

    def test_find_images_in_a_hidden_folder(self, tmp_path: Path) -> None:
        """Only what is hidden inside of the folder is left out."""
        folder = tmp_path / ".study"
        folder.mkdir()
        (folder / "a.png").touch()
        assert find_images(folder) == [folder / "a.png"]

    def test_find_images_where_there_is_none(self, tmp_path: Path) -> None:
        assert find_images(tmp_path) == []
        assert find_images(tmp_path / "missing") == []
