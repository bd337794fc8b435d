"""What DICOM images tell of a patient stays in them: no command tells it, and no file that is written holds it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

# All texts hold one word, and all UIDs one part, by which they are found again.
WORD = "Geheim"
ROOT = "1.2.826.47110815"
NUMBERS = {
    "PatientBirthDate": "19010203",
    "PatientBirthTime": "010203.040506",
    "StudyDate": "20210405",
    "SeriesDate": "20210406",
    "AcquisitionDate": "20210407",
    "ContentDate": "20210408",
    "StudyTime": "112233.445566",
    "SeriesTime": "112234.445566",
}
TEXTS = {
    "AccessionNumber": "GeheimA1",
    "AdditionalPatientHistory": "Geheim since 1930",
    "DeviceSerialNumber": "Geheim0042",
    "ImageComments": "<Geheim & co>",
    "InstitutionAddress": "Geheim street 5",
    "InstitutionName": "Geheim hospital",
    "OperatorsName": "Geheimer^Operator",
    "OtherPatientIDs": "Geheim2",
    "PatientAddress": "Geheim lane 3",
    "PatientComments": "looks after the Geheim family",
    "PatientID": "Geheim-4711",
    "PatientMotherBirthName": "Geheimer^Anna",
    "PatientTelephoneNumbers": "Geheim 555",
    "PerformingPhysicianName": "Geheimer^Performer",
    "ProtocolName": "Geheim protocol",
    "ReferringPhysicianName": "Geheimer^Referrer",
    "RequestedProcedureDescription": "Geheim request",
    "SeriesDescription": "Geheim series",
    "StationName": "GEHEIM_STATION",
    "StudyDescription": "Geheim study",
    "StudyID": "Geheim7",
}
RADIOGRAPH = {"Modality": "DX", "ImagePositionPatient": None, "ImageOrientationPatient": None}


@dataclass(frozen=True)
class Name:
    """A patient's name as DICOM writes it: character set, what Python calls it, and the words that are telling."""

    charset: str | list[str]
    codec: str
    text: str
    words: tuple[str, ...]


LATIN = Name("ISO_IR 100", "latin-1", "Müßiggänger^Käthe", ("Müßiggänger", "Käthe"))
CYRILLIC = Name("ISO_IR 144", "iso8859_5", "Кащеев^Иван", ("Кащеев", "Иван"))
JAPANESE = Name(
    ["", "ISO 2022 IR 87"], "iso2022_jp", "Yamadaya^Tarou=山田屋^太郎", ("Yamadaya", "Tarou", "山田屋", "太郎")
)
UNICODE = Name("ISO_IR 192", "utf-8", "Hongbong^Gildong=洪峰^吉洞=홍봉^길동", ("Hongbong", "洪峰", "홍봉", "길동"))


def traces(name: Name) -> set[bytes]:
    """The bytes, in lower case, by which a patient would be known."""
    texts = [WORD, ROOT, *NUMBERS.values(), *name.words]
    codecs = ("utf-8", "utf-16-le", name.codec)
    written = [text.encode(codec) for text in texts for codec in codecs]
    return {trace.lower() for trace in [*written, *(json.dumps(text)[1:-1].encode() for text in texts)]}


def found(name: Name, contents: Iterable[bytes]) -> set[bytes]:
    """Which traces are in contents."""
    lower = [content.lower() for content in contents]
    return {trace for trace in traces(name) if any(trace in content for content in lower)}


def written(folder: Path, without: str = "_dicom/") -> list[bytes]:
    """Names and contents of all files in a folder, also unpacked, but for those with a word in their path."""
    contents = []
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        contents.append(name.encode())
        if path.is_file() and without not in name:
            content = path.read_bytes()
            contents += [content, gzip.decompress(content)] if content[:2] == b"\x1f\x8b" else [content]
    return contents


def told(outcome: Any) -> list[bytes]:
    return [outcome.out.encode(), outcome.err.encode()]


def _identify(path: Path, name: Name) -> None:
    """Fills an image with what tells whose it is."""
    image = dcmread(path)
    image.SpecificCharacterSet, image.PatientName = name.charset, name.text
    for keyword, value in (TEXTS | NUMBERS).items():
        setattr(image, keyword, value)
    for number, keyword in enumerate(("StudyInstanceUID", "FrameOfReferenceUID")):
        setattr(image, keyword, f"{ROOT}.{number}")
    image.SeriesInstanceUID = f"{ROOT}.2.{image.SeriesNumber}"
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"{ROOT}.3.{image.InstanceNumber}"
    request = Dataset()
    request.ScheduledProcedureStepDescription = "Geheim step"
    image.RequestAttributesSequence = [request]
    image.private_block(0x0011, "Geheim maker", create=True).add_new(1, "LO", "Geheim private")
    image.save_as(path)


def _write_text(path: Path, keyword: str, text: str) -> None:
    """Writes what no attribute of its kind may hold."""
    image = dcmread(path)
    tag = Tag(tag_for_keyword(keyword) or 0)
    value = text.encode() + b" " * (len(text) % 2)
    image[tag] = RawDataElement(tag, dictionary_VR(tag), len(value), value, 0, False, True)
    image.save_as(path)


@pytest.fixture(autouse=True)
def as_users_run_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MONAI_SAGAN_DEBUG", raising=False)


@pytest.fixture
def a_scan(a_series: Callable[..., Path]) -> Callable[..., Path]:
    """Writes a series that tells everything of its patient."""

    def write(folder: str = "in/scan", name: Name = LATIN, seed: int = 0, **changes: Any) -> Path:
        voxels = np.random.default_rng(seed).integers(0, 4096, (20, 24, 6)).astype("<u2")
        path = a_series(folder, voxels, **changes)
        for file in path.iterdir():
            _identify(file, name)
        return path

    return write


@pytest.fixture
def a_radiograph(a_dicom: Callable[..., Path]) -> Callable[..., Path]:
    """Writes a radiograph that tells everything of its patient."""

    def write(file: str = "in/chest.dcm", name: Name = LATIN, seed: int = 0) -> Path:
        path = a_dicom(file, number=seed, SeriesNumber=8, **RADIOGRAPH)
        _identify(path, name)
        return path

    return write


@pytest.fixture
def predict(tiny_bundle: Path, tmp_path: Path, run: Callable) -> Callable[..., Any]:
    def predict(*arguments: str | Path) -> Any:
        return run("predict", tiny_bundle, "--output", tmp_path / "maps", *arguments)

    return predict


@pytest.mark.parametrize("name", [LATIN, CYRILLIC, JAPANESE, UNICODE], ids=lambda name: name.codec)
def test_the_images_tell_it(a_scan: Callable, a_radiograph: Callable, name: Name) -> None:
    """As DICOM writes it; or the other tests would prove nothing."""
    a_radiograph(name=name)
    expected = {text.encode(name.codec).lower() for text in (WORD, ROOT, *NUMBERS.values(), *name.words)}
    assert expected <= found(name, written(a_scan(name=name).parent))


class TestPredict:
    @pytest.mark.parametrize(
        ("progress", "name"),
        [("bar", LATIN), ("json", CYRILLIC), ("none", JAPANESE), ("json", UNICODE)],
        ids=lambda value: getattr(value, "codec", value),
    )
    def test_good_images(
        self, a_scan: Callable, a_radiograph: Callable, predict: Callable, tmp_path: Path, progress: str, name: Name
    ) -> None:
        a_scan(name=name)
        a_radiograph(name=name)
        options = (tmp_path / "in", "--progress", progress, "--save-restored")
        for ending in (".nii.gz", ".nrrd", ".mha"):
            outcome = predict(*options, "--output-ext", ending, "--output", tmp_path / "maps" / ending[1:])
            assert outcome.code == 0
            assert not found(name, told(outcome))
        assert len(list((tmp_path / "maps").rglob("*_anomaly.json"))) == 6
        assert not found(name, written(tmp_path / "maps"))

    def test_dicom_results_alone_say_whose_they_are(
        self, a_scan: Callable, a_radiograph: Callable, predict: Callable, tmp_path: Path
    ) -> None:
        a_scan()
        a_radiograph()
        outcome = predict(tmp_path / "in", "--dicom", "--map-threshold", "0.05", "--progress", "json")
        assert outcome.code == 0
        assert not found(LATIN, [*told(outcome), *written(tmp_path / "maps")])
        objects = [dcmread(path) for path in (tmp_path / "maps").rglob("*.dcm")]
        assert len(objects) > 8
        assert {str(each.PatientName) for each in objects} == {LATIN.text}
        for each in objects:
            for keyword in ("PatientComments", "InstitutionName", "DeviceSerialNumber", "OperatorsName"):
                assert WORD not in str(each.get(keyword, ""))
            assert not any(element.tag.is_private for element in each)

    @pytest.mark.parametrize("name", [LATIN, CYRILLIC, JAPANESE, UNICODE], ids=lambda name: name.codec)
    def test_who_asks_for_it_gets_it(self, a_scan: Callable, predict: Callable, tmp_path: Path, name: Name) -> None:
        outcome = predict(a_scan(name=name), "--keep-patient-data", "--progress", "json")
        expected = {
            "name": name.text,
            "id": TEXTS["PatientID"],
            "birth_date": NUMBERS["PatientBirthDate"],
            "sex": "",
            "study_date": NUMBERS["StudyDate"],
            "accession_number": TEXTS["AccessionNumber"],
            "study_instance_uid": f"{ROOT}.0",
            "series_instance_uid": f"{ROOT}.2.3",
        }
        result = tmp_path / "maps" / "scan_anomaly.json"
        assert json.loads(result.read_text())["patient"] == expected
        assert found(name, told(outcome))
        assert [event["patient"] for event in outcome.events if event["event"] == "result"] == [expected]
        result.unlink()
        assert not found(name, written(tmp_path / "maps"))

    def test_a_series_that_is_not_there(self, a_scan: Callable, predict: Callable) -> None:
        folder = a_scan()
        for wanted in ("9", "1.2.3"):
            outcome = predict(folder, "--series", wanted)
            assert outcome.code == 1
            assert not found(LATIN, told(outcome))


BAD = {
    "cut short": lambda files: files[2].write_bytes(files[2].read_bytes()[:-100]),
    "cut in its header": lambda files: files[2].write_bytes(files[2].read_bytes()[:700]),
    "a missing slice": lambda files: files[2].unlink(),
    "a slice twice": lambda files: files[2].with_name("again.dcm").write_bytes(files[2].read_bytes()),
    "another orientation": lambda files: _write_text(files[2], "ImageOrientationPatient", "0\\1\\0\\0\\0\\-1"),
    "another spacing": lambda files: _write_text(files[2], "PixelSpacing", "3\\3"),
    "no number of frames": lambda files: _write_text(files[2], "NumberOfFrames", WORD),
    "no position": lambda files: _write_text(files[2], "ImagePositionPatient", f"{WORD}\\1\\2"),
    "no spacing": lambda files: _write_text(files[2], "PixelSpacing", WORD),
    "no number of the series": lambda files: [_write_text(file, "SeriesNumber", WORD) for file in files],
}


@pytest.mark.parametrize("progress", ["bar", "json"])
@pytest.mark.parametrize("spoil", BAD.values(), ids=BAD)
def test_bad_images(
    a_scan: Callable, predict: Callable, tmp_path: Path, spoil: Callable[[list[Path]], object], progress: str
) -> None:
    folder = a_scan()
    spoil(sorted(folder.iterdir()))
    outcome = predict(folder, "--progress", progress, "--dicom")
    assert outcome.code == 1
    assert not found(LATIN, told(outcome))
    assert not (tmp_path / "maps").exists() or not found(LATIN, written(tmp_path / "maps"))


def test_images_of_a_private_kind(a_scan: Callable, predict: Callable, tmp_path: Path) -> None:
    """Which DICOM results cannot be written of."""
    folder = a_scan()
    for file in folder.iterdir():
        _write_text(file, "SOPClassUID", f"{ROOT}.5")
    outcome = predict(folder, "--dicom")
    assert outcome.code == 0
    assert "Warning" in outcome.err
    assert not found(LATIN, [*told(outcome), *written(tmp_path / "maps")])


@pytest.mark.parametrize("keyword", ["WindowCenter", "RescaleSlope", "PatientOrientation", "Modality", "BitsStored"])
def test_a_radiograph_with_text_where_none_belongs(
    a_radiograph: Callable, predict: Callable, tmp_path: Path, keyword: str
) -> None:
    path = a_radiograph()
    _write_text(path, keyword, WORD)
    outcome = predict(path, "--dicom")
    assert not found(LATIN, told(outcome))
    assert not (tmp_path / "maps").exists() or not found(LATIN, written(tmp_path / "maps"))


def test_from_a_folder_to_an_evaluated_bundle(
    a_scan: Callable, a_radiograph: Callable, tiny_bundle: Path, tmp_path: Path, run: Callable
) -> None:
    for number, group in enumerate(["healthy", "unlabeled", "test/healthy", "test/anomalous"]):
        a_scan(f"sorted/{group}/scan", seed=number)
        a_radiograph(f"sorted/{group}/chest", seed=number)  # without an ending
    bad = a_scan("sorted/unlabeled/short")
    BAD["a missing slice"](sorted(bad.iterdir()))
    commands = [
        ("prepare", "folder", tmp_path / "sorted", tmp_path / "data"),  # which tells of the bad one
        (
            "train",
            tiny_bundle,
            "batch_size=4",
            "--data",
            tmp_path / "data",
            "--output",
            tmp_path / "bundle",
            "--progress",
            "bar",
        ),
        ("evaluate", tmp_path / "bundle", "--data", tmp_path / "data", "--output", tmp_path / "evaluation"),
    ]
    for command, code in zip(commands, (1, 0, 0)):
        outcome = run(*command)
        assert outcome.code == code, outcome.err
        assert not found(LATIN, told(outcome))
    names = [path.name for path in tmp_path.rglob("*")]
    assert {"data.json", "scan.nii.gz", "report.html", "examples.png", "metrics.json", "model.pt"} <= set(names)
    assert any("tfevents" in name for name in names)
    for folder in ("data", "bundle", "evaluation"):
        assert not found(LATIN, written(tmp_path / folder))
