"""A case's result on disk: its anomaly map, and what it amounts to in JSON."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from collections.abc import Hashable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from monai.transforms import MapTransform

from monai_sagan import __version__
from monai_sagan.data import patient_data, stem
from monai_sagan.dicom_results import OverlayContent, require_highdicom, write_dicom_results
from monai_sagan.errors import ImageError, UserError
from monai_sagan.files import write_whole
from monai_sagan.result_files import JSON_ENDING, MAP_KINDS
from monai_sagan.results.image_file import IMAGE_FORMATS, write_image
from monai_sagan.results.result import RESULT_SCHEMA_VERSION, summarize

__all__ = ["SaveResultd", "overlay_of"]


class SaveResultd(MapTransform):
    """Writes a case's map and JSON, and adds the JSON's content as ``result``.

    Files are named after ``name`` in the dictionary, which may begin with folders, or else after the image's file. The
    JSON file appears last, so that it says that the case is complete.

    Args:
        output_dir: folder of the results; it is made if need be.
        bundle: the bundle's ``name``, ``version`` and ``weights_sha256``.
        output_ext: ending, and so the format, of written images: ``.nii.gz``, ``.nii``, ``.nrrd`` or ``.mha``.
        save_map: whether there is a map to write; a classifier without attention has none.
        save_restored: whether to write the restored image too, in the network's range of [-1, 1].
        save_dicom: whether to write DICOM objects too, see :mod:`monai_sagan.dicom_results`.
        map_threshold: what lies above it in the map is the DICOM segmentation; None for none.
        keep_patient_data: whether the JSON tells who the patient of a DICOM image is.
        overwrite: whether a result that is there is replaced.
        settings: what the map depends on besides image and bundle; kept in the JSON.

    Raises:
        UserError: if ``output_ext`` is another one, or DICOM is asked for and highdicom is not installed.
    """

    def __init__(
        self,
        output_dir: str | Path,
        bundle: Mapping[str, Any],
        output_ext: str = ".nii.gz",
        save_map: bool = True,
        save_restored: bool = False,
        save_dicom: bool = False,
        map_threshold: float | None = None,
        keep_patient_data: bool = False,
        overwrite: bool = False,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__("anomaly_map")
        if output_ext not in IMAGE_FORMATS:
            raise UserError(
                f"output_ext {output_ext}: maps cannot be written so; choose one of {', '.join(IMAGE_FORMATS)}."
            )
        if save_dicom:
            require_highdicom()
        self.output_dir = Path(output_dir)
        self.bundle = dict(bundle)
        self.output_ext = output_ext
        self.save_map = save_map
        self.save_restored = save_restored
        self.save_dicom = save_dicom
        self.keep_patient_data = keep_patient_data
        self.overwrite = overwrite
        self.settings = {"map_threshold": map_threshold, **(settings or {})}

    def find_result(self, case: Mapping[str, Any]) -> dict[str, Any] | None:
        """The result of a case, if it is there already and is what would be written now.

        Args:
            case: with ``path`` and ``files``, and ``name``.

        Returns:
            As ``result``; None if there is none, or all results are to be written again.

        Raises:
            UserError: if there is one that would be lost: of another image, bundle or setting.
        """
        json_path = self._path(case, JSON_ENDING)
        if self.overwrite or not json_path.is_file():
            return None
        try:
            result = json.loads(json_path.read_text(encoding="utf-8"))
            differs = self._difference(result, case)
        except (ValueError, KeyError, TypeError, AttributeError):
            differs = "damaged"
        if differs:
            raise UserError(
                f"{case['path']}: its result {json_path.name} is there already, but {differs}; add --overwrite to "
                "replace it, or choose another --output."
            )
        wanted = [self._path(case, f"_{kind}{self.output_ext}") for kind in self._images(result)]
        if self.save_dicom:
            wanted.append(self._path(case, "_dicom"))
        is_complete = all(path.exists() for path in wanted) and ("patient" in result) == self.keep_patient_data
        return result | self._map_paths(case, result) if is_complete else None

    def _difference(self, result: Mapping[str, Any], case: Mapping[str, Any]) -> str:
        """What a result has to do with something else than this case and run, in words; empty for nothing."""
        if result["schema_version"] != RESULT_SCHEMA_VERSION:
            return "of another version of this software"
        if result["input_fingerprint"] != _fingerprint(case["files"]):
            return "of another image, or of another version of it"
        if _without_name(result["bundle"]) != _without_name(self.bundle):  # a folder may be renamed
            return "of another bundle, or of another version, training or calibration of it"
        return "made with other settings" if result["settings"] != self.settings else ""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        result = summarize(d) | {
            "input_fingerprint": _fingerprint(d["files"]),
            "bundle": self.bundle,
            "settings": self.settings,
        }
        if self.keep_patient_data:
            result["patient"] = patient_data(Path(d["files"][0]))
        if self.save_dicom:
            result["warnings"] += self._write_dicom(d, result)
        try:
            self._write(d, result)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            raise ImageError(Path(d["path"]), "the name is too long for its results; rename the file.") from None
        d["result"] = result | self._map_paths(d, result)
        return d

    def _write(self, d: Mapping[Hashable, Any], result: Mapping[str, Any]) -> None:
        images = {self._path(d, f"_{kind}{self.output_ext}"): d[key] for kind, key in self._images(result).items()}
        with ExitStack() as files:  # they get their names when all are written, the first one last
            partial = files.enter_context(write_whole(self._path(d, JSON_ENDING)))
            partial.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
            for path, image in images.items():
                dtype = torch.float32 if image.is_floating_point() else None  # findings are numbered
                write_image(image, files.enter_context(write_whole(path)), dtype)

    def _path(self, case: Mapping[Any, Any], ending: str) -> Path:
        name = case.get("name") or stem(Path(case["path"]))
        return self.output_dir / f"{name}{ending}"

    def _map_paths(self, case: Mapping[Any, Any], result: Mapping[str, Any]) -> dict[str, str | None]:
        """Where the maps of a case lie; None for those that it does not have."""
        written = self._images(result)
        return {
            key: str(self._path(case, f"_{kind}{self.output_ext}")) if kind in written else None
            for kind, key in MAP_KINDS.items()
            if key.endswith("_map")
        }

    def _images(self, result: Mapping[str, Any]) -> dict[str, str]:
        """What images are written of a case: the word in their names, and the key."""
        is_written = {
            "anomaly": self.save_map,
            "deviation": result["peak"] is not None and result["peak"]["deviation"] is not None,
            "findings": result["findings"] is not None,
            "restored": self.save_restored,
        }
        return {kind: key for kind, key in MAP_KINDS.items() if is_written[kind]}

    def _write_dicom(self, case: Mapping[Hashable, Any], result: Mapping[str, Any]) -> list[str]:
        folder = self._path(case, "_dicom")
        if folder.is_dir():  # of a former run, which is to be replaced or was not completed
            shutil.rmtree(folder)
        return write_dicom_results(
            [Path(file) for file in case["files"]],
            case["image"],
            case["anomaly_map"],
            folder,
            map_threshold=self.settings["map_threshold"],
            bundle=self.bundle,
            software_version=__version__,
            overlay=overlay_of(case, result),
        )


def overlay_of(case: Mapping[Hashable, Any], result: Mapping[str, Any]) -> OverlayContent:
    """What a viewer of DICOM sees of a result: of a calibrated bundle, what stands out, coloured up to a finding.

    Args:
        case: with its maps.
        result: as :func:`summarize` gives it.
    """
    if result["is_ood"]:
        statement = "Do not rely on this: not the kind of image that the bundle was made for."
    else:
        score, p_value, findings = (result[key] for key in ("anomaly_score", "p_value", "findings"))
        parts = ["" if score is None else f"Score {score:.3g}", "" if p_value is None else f"p {p_value:.2g}"]
        parts.append("" if findings is None else f"findings: {len(findings)}")
        statement = ", ".join(filter(None, parts))
    if "deviation_map" not in case:
        return OverlayContent(case["anomaly_map"], statement=statement)
    return OverlayContent(case["deviation_map"], "SD from healthy", result["finding_threshold"], statement)


def _without_name(bundle: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in bundle.items() if key != "name"}


def _fingerprint(files: Sequence[str]) -> str:
    """Tells one image from another, and from a later version of it, without a word of where it lies."""
    digest = hashlib.sha256()
    for file in files:
        status = Path(file).stat()
        digest.update(f"{status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()
