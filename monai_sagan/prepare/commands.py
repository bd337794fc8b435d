"""The commands ``monai-sagan prepare ...``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monai_sagan.console import ProgressOption, fail
from monai_sagan.prepare import PNG_SIZE
from monai_sagan.progress import ProgressKind

if TYPE_CHECKING:
    from monai_sagan.prepare import PrepareReport

__all__ = ["prepare_app"]

prepare_app = typer.Typer(help="Make a data set in the Med-AD layout.", no_args_is_help=True)

TargetArgument = Annotated[Path, typer.Argument(metavar="DST", help="Folder of the data set to make.")]
DownloadArgument = Annotated[Path, typer.Argument(metavar="SRC", help="Folder of the unpacked download.")]
SeedOption = Annotated[int, typer.Option(help="Random seed of the split.")]
SplitOption = Annotated[
    Path | None, typer.Option("--split", help="A data.json whose split to use, such as a published one.")
]
SizeOption = Annotated[int, typer.Option(min=1, help="Pixels of an image's longer side, at most.")]


@prepare_app.command("folder")
def prepare_folder(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SRC",
            help="Folder with healthy, unlabeled, and, if you have them, test/healthy, test/anomalous and masks.",
        ),
    ],
    target: TargetArgument,
) -> None:
    """Make a data set from folders of images and volumes: PNG, JPEG, NIfTI, NRRD, DICOM series."""
    from monai_sagan.prepare import prepare_folder as work

    report = work(source, target)
    _show_counts(report, target)
    for sentence in report.notes + [f"Left out: {problem}" for problem in report.left_out]:
        typer.echo(sentence, err=True)
    if report.left_out:
        fail(f"The data set was made without {len(report.left_out)} of the files, which could not be used.")


@prepare_app.command("phantom")
def prepare_phantom(
    target: TargetArgument,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    volumes: Annotated[bool, typer.Option("--volumes", help="Volumes instead of images.")] = False,
) -> None:
    """Make a synthetic data set: heads with and without lesions, and masks."""
    from monai_sagan.data import write_phantom, write_phantom_volumes

    write = write_phantom_volumes if volumes else write_phantom
    write(target, seed=seed)
    typer.echo(f"{target}: a phantom data set{' of volumes' if volumes else ''}, seed {seed}")


@prepare_app.command("rsna")
def prepare_rsna(
    source: DownloadArgument,
    target: TargetArgument,
    seed: SeedOption = 0,
    split: SplitOption = None,
    size: SizeOption = PNG_SIZE,
    progress: ProgressOption = "bar",
) -> None:
    """Make a data set of the chest radiographs of the RSNA Pneumonia Detection Challenge."""
    from monai_sagan.prepare import prepare_rsna as work

    _end(work(source, target, seed=seed, split=split, size=size, progress=progress), target, progress)


@prepare_app.command("vindr-cxr")
def prepare_vindr_cxr(
    source: DownloadArgument,
    target: TargetArgument,
    seed: SeedOption = 0,
    split: SplitOption = None,
    size: SizeOption = PNG_SIZE,
    progress: ProgressOption = "bar",
) -> None:
    """Make a data set of the chest radiographs of VinDr-CXR, from PhysioNet or Kaggle."""
    from monai_sagan.prepare import prepare_vindr_cxr as work

    _end(work(source, target, seed=seed, split=split, size=size, progress=progress), target, progress)


@prepare_app.command("lag")
def prepare_lag(
    source: DownloadArgument,
    target: TargetArgument,
    seed: SeedOption = 0,
    split: SplitOption = None,
    progress: ProgressOption = "bar",
) -> None:
    """Make a data set of the fundus photographs of the LAG database."""
    from monai_sagan.prepare import prepare_lag as work

    _end(work(source, target, seed=seed, split=split, progress=progress), target, progress)


@prepare_app.command("med-ad")
def prepare_med_ad(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="The archive (.zip), or the folder it unpacks to.")],
    target: Annotated[Path, typer.Argument(metavar="DST", help="Folder of the data set; of several, a folder each.")],
    progress: ProgressOption = "bar",
) -> None:
    """Take over the Med-AD benchmark as its authors prepared it."""
    from monai_sagan.prepare import prepare_med_ad as work

    _end(work(source, target, progress=progress), target, progress)


def _end(report: PrepareReport, target: Path, progress: ProgressKind) -> None:
    """Tells what a data set consists of; with exit code 1 if it should have more."""
    if progress != "json":
        _show_counts(report, target)
    if report.left_out:
        fail(f"The data set was made without {len(report.left_out)} of its images; get them and run the command again.")
    if report.is_incomplete:
        fail("The data set is smaller than the published one; get the rest of the download and run the command again.")


def _show_counts(report: PrepareReport, target: Path) -> None:
    typer.echo(f"{target}: " + ", ".join(f"{count} {group}" for group, count in report.counts.items()))
