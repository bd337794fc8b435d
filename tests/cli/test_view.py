"""``monai-sagan view``: which result it takes, and what it says of what cannot be shown; the page has its own tests."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from monai_sagan.viewer.AnomalyMapLib.results import ResultError

from monai_sagan.errors import UserError
from monai_sagan.viewer.address import check_address, url_of
from monai_sagan.viewer.case import find_case

Run = Callable[..., Any]


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A file that is looked at by its name only."""
    path = tmp_path / "scans" / "head.v2.nii.gz"
    path.parent.mkdir()
    path.touch()
    return path


@pytest.fixture
def a_result(tmp_path: Path) -> Callable[..., Path]:
    """Writes a result, as predict does for what is called ``of``."""

    def write(name: str = "maps/head.v2", of: str = "head.v2.nii.gz", map_ending: str = ".nii.gz") -> Path:
        path = tmp_path / f"{name}_anomaly.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        result = {"schema_version": "2.0", "input": of, "bundle": {"name": "tiny", "version": "1.2.3"}}
        path.write_text(json.dumps(result), encoding="utf-8")
        path.with_suffix(map_ending).touch()
        return path

    return write


class TestFind:
    def test_beside_the_volume(self, volume: Path, a_result: Callable[..., Path]) -> None:
        path = a_result("scans/head.v2")
        case = find_case(volume, None)
        assert (case.volume, case.anomaly_map) == (volume, path.with_suffix(".nii.gz"))
        assert case.result.bundle.name == "tiny"

    def test_in_a_folder(self, volume: Path, a_result: Callable[..., Path]) -> None:
        a_result("maps/other", of="other.nii.gz")
        a_result("maps/head", of="head.nii.gz")
        path = a_result("maps/patient/head.v2")
        assert find_case(volume, path.parents[1]).anomaly_map == path.with_suffix(".nii.gz")

    def test_a_name_that_keeps_its_ending(self, volume: Path, a_result: Callable[..., Path]) -> None:
        path = a_result("maps/head.v2.nii.gz")
        assert find_case(volume, path.parent).anomaly_map == path.with_suffix(".nii.gz")

    @pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
    def test_by_json_and_by_map(self, volume: Path, a_result: Callable[..., Path], ending: str) -> None:
        path = a_result("maps/renamed", map_ending=ending)
        deviation = path.with_name(f"renamed_deviation{ending}")
        deviation.touch()
        for named in (path, path.with_suffix(ending), deviation):
            assert find_case(volume, named).anomaly_map == path.with_suffix(ending)

    def test_a_folder_without(self, volume: Path, a_result: Callable[..., Path]) -> None:
        # As a volume of another format, or of another folder, would be called.
        folder = a_result("maps/head.v2", of="head.v2.nrrd").parent
        with pytest.raises(UserError) as refused:
            find_case(volume, folder)
        assert str(refused.value) == (
            f"{folder}: there is no result of head.v2.nii.gz here; make one by 'monai-sagan predict BUNDLE {volume} "
            f"--output maps', and give its folder: 'monai-sagan view {volume} maps'."
        )

    def test_several(self, volume: Path, a_result: Callable[..., Path]) -> None:
        first, _ = a_result("maps/a/head.v2"), a_result("maps/b/head.v2")
        with pytest.raises(
            UserError, match=f"there are 2 results of head.v2.nii.gz; give one of them, such as {first}"
        ):
            find_case(volume, first.parents[1])

    def test_without_its_map(self, volume: Path, a_result: Callable[..., Path]) -> None:
        path = a_result()
        path.with_suffix(".nii.gz").unlink()
        with pytest.raises(UserError, match="the map that belongs beside it is missing"):
            find_case(volume, path)

    def test_a_map_without_its_json(self, volume: Path, a_result: Callable[..., Path]) -> None:
        path = a_result()
        path.unlink()
        with pytest.raises(UserError, match=f"{path}: this file belongs beside the map and is missing"):
            find_case(volume, path.with_suffix(".nii.gz"))

    def test_damaged(self, volume: Path, a_result: Callable[..., Path]) -> None:
        path = a_result()
        path.write_text("{", encoding="utf-8")
        with pytest.raises(ResultError, match=f"{path}: this file is damaged or no JSON"):
            find_case(volume, path.parent)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("::1", "http://[::1]:8080"),
        ("0.0.0.0", f"http://{socket.gethostname()}:8080"),  # noqa: S104 - nobody listens
    ],
)
def test_url(host: str, url: str) -> None:
    assert url_of(host, 8080) == url


class TestCommand:
    """One sentence, whatever is wrong; here the last of them is that this environment has no viewer."""

    def test_no_such_volume(self, run: Run, tmp_path: Path) -> None:
        assert run("view", tmp_path / "none.nii").sentence == f"{tmp_path / 'none.nii'}: there is no such file."

    def test_a_folder_of_dicom_files(self, run: Run, a_series: Callable[..., Path]) -> None:
        folder = a_series()
        assert run("view", folder).sentence.startswith(f"{folder}: the viewer shows single files; make a NIfTI file")

    def test_no_such_result(self, run: Run, volume: Path, tmp_path: Path) -> None:
        assert run("view", volume, tmp_path / "maps").sentence == (
            f"{tmp_path / 'maps'}: there is no such file or folder."
        )

    def test_what_is_no_result(self, run: Run, volume: Path) -> None:
        assert run("view", volume, volume).sentence.startswith(f"{volume}: this is no result; give a file that ends in")

    def test_of_a_version_to_come(self, run: Run, volume: Path, a_result: Callable[..., Path]) -> None:
        path = a_result()
        path.write_text('{"schema_version": "3.0"}', encoding="utf-8")
        assert run("view", volume, path).sentence.startswith(f"{path}: The result has schema version 3.0")

    def test_a_port_in_use(self, run: Run, volume: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            assert run("view", volume, "--port", port).sentence == (
                f"127.0.0.1:{port}: this port is in use already; choose another one by --port, or 0 for any that is "
                "free."
            )

    @pytest.mark.parametrize(
        ("host", "told"),
        [
            ("no-such-computer.invalid", "there is no computer of this name; choose another one by --host."),
            ("192.0.2.1", "this computer has no such address; choose another one by --host."),  # nobody's (RFC 5737)
        ],
    )
    def test_an_address_that_is_not_here(self, run: Run, volume: Path, host: str, told: str) -> None:
        assert run("view", volume, "--host", host).sentence.endswith(told)

    def test_it_listens_where_it_is_told_to(
        self, run: Run, volume: Path, a_result: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And at this computer alone where it is told nothing."""
        served: list[tuple[Any, ...]] = []
        stand_in = SimpleNamespace(serve=lambda *where: served.append(where[:3]))
        monkeypatch.setattr("monai_sagan.viewer.open_viewer", lambda *case: served.append(case) or stand_in)
        assert run("view", volume, a_result(), "--port", "0").code == 0
        assert run("view", volume, "--host", "::1", "--port", "0", "--no-browser").code == 0
        assert served == [(volume, a_result()), ("127.0.0.1", 0, True), (volume, None), ("::1", 0, False)]

    def test_without_the_extra(
        self, run: Run, volume: Path, a_result: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "slicer", None)  # as if it were not installed
        assert run("view", volume, a_result(), "--port", "0").sentence.endswith(
            "install it by 'pip install \".[viewer]\"' in the folder of monai-sagan and then 'pip install --no-deps "
            "slicer-layer-dm'."
        )


@pytest.mark.parametrize("platform", ["linux", "win32"])
def test_a_port_is_shared_with_nobody(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows SO_REUSEADDR lets several programs listen on one port; elsewhere, on one that was just let go."""
    options: list[int] = []
    monkeypatch.setattr(socket.socket, "setsockopt", lambda _, level, option, value: options.append(option))
    monkeypatch.setattr(sys, "platform", platform)
    check_address("127.0.0.1", 0)
    assert options == ([] if platform == "win32" else [socket.SO_REUSEADDR])
