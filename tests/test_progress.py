"""The reporters."""

from __future__ import annotations

import json

import pytest

from monai_sagan.progress import BarReporter, JsonReporter, ProgressKind, Reporter, make_reporter


@pytest.mark.parametrize(("kind", "reporter"), [("bar", BarReporter), ("json", JsonReporter), ("none", Reporter)])
def test_kinds(kind: ProgressKind, reporter: type[Reporter]) -> None:
    assert type(make_reporter(kind)) is reporter


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^progress must be one of bar, json, none, not 'xml'.$"):
        make_reporter("xml")  # type: ignore[arg-type]


def use(reporter: Reporter) -> None:
    reporter.start(2, "Images")
    reporter.warning("the first is odd")
    reporter.result({"input": "größe\n\udcff.png", "peak": {"voxel": [1, 2]}, "p_value": None})
    reporter.progress(1, critic=0.5)
    reporter.error("the second is bad")
    reporter.progress(2)
    reporter.done(num_done=1)


def test_json_is_one_object_a_line_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    use(make_reporter("json"))
    output = capsys.readouterr()
    assert [json.loads(line) for line in output.out.splitlines()] == [
        {"event": "start", "total": 2, "task": "Images"},
        {"event": "warning", "message": "the first is odd"},
        {"event": "result", "input": "größe\n\udcff.png", "peak": {"voxel": [1, 2]}, "p_value": None},
        {"event": "progress", "done": 1, "total": 2, "critic": 0.5},
        {"event": "error", "message": "the second is bad"},
        {"event": "progress", "done": 2, "total": 2},
        {"event": "done", "num_done": 1},
    ]
    assert output.out.isascii()  # whatever encoding the reader thinks of
    assert output.err == ""


def test_a_bar_leaves_standard_output_alone(capsys: pytest.CaptureFixture[str]) -> None:
    use(make_reporter("bar"))
    output = capsys.readouterr()
    assert output.out == ""
    for text in ("Images", "2/2", "critic 0.5", "Warning: the first is odd\n", "Error: the second is bad\n"):
        assert text in output.err


def test_no_progress_still_tells_what_went_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    use(make_reporter("none"))
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == "Warning: the first is odd\nError: the second is bad\n"
