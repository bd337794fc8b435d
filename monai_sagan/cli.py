"""The command ``monai-sagan``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from monai_sagan import __version__
from monai_sagan.console import ProgressOption, fail
from monai_sagan.errors import UserError
from monai_sagan.prepare.commands import prepare_app
from monai_sagan.processes import is_first
from monai_sagan.running import run_command
from monai_sagan.startup import quick_imports
from monai_sagan.tables import show_classification, show_comparison, show_detection

app = typer.Typer(
    help="Finds what does not look healthy in a medical image, and shows where. Research use only.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(prepare_app, name="prepare")


# As transforms and export have them, which take their time to import.
SliceDirection = Literal["acquisition", "axial", "coronal", "sagittal"]
ExportFormat = Literal["onnx", "torchscript", "tensorrt"]

# Of a comparison's table, as many as a terminal is wide: method, AUC, its interval, difference and p.
_SHOWN_COLUMNS = 5

BundleArgument = Annotated[str, typer.Argument(help="A bundle's folder, or the name of one that ships.")]
DataOption = Annotated[
    Path,
    typer.Option("--data", help="Folder of the data set: with data.json or, for a classifier, with labelled images."),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu or a CUDA device such as cuda:0.")]


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Folder for all output.")] = Path("demo"),
    device: DeviceOption = "auto",
    progress: ProgressOption = "bar",
) -> None:
    """Run the whole workflow on a synthetic phantom: train, calibrate, evaluate and map; takes minutes on two cores."""
    with quick_imports():
        from monai_sagan.demo import run_demo

    metrics = run_demo(output, device=device, progress=progress)
    if progress == "json":
        return
    show_detection(metrics, "Images")
    typer.echo(f"Page: {output / 'evaluation' / 'report.html'}")
    show_detection(metrics["volumes"], "Volumes")
    typer.echo(f"Page: {output / 'evaluation_volumes' / 'report.html'}")
    typer.echo(f"Map of a volume: {output / 'volume' / 'phantom_lesion_anomaly.nii.gz'}")
    typer.echo(f"Pictures: {output / 'evaluation' / 'examples.png'} and {output / 'volume.png'}")


@app.command()
def train(
    bundle: BundleArgument,
    data: DataOption,
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Settings of the bundle, such as base_channels=64."),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Folder of the trained bundle; by default runs/BUNDLE.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted training.")] = False,
    device: DeviceOption = "auto",
    progress: ProgressOption = "bar",
) -> None:
    """Train a bundle on healthy and unlabelled images or, for a classifier, on labelled ones; writes a new bundle."""
    with quick_imports():
        from monai_sagan import workflows

    target = output or Path("runs") / Path(bundle).name
    overrides = _parse_settings(settings or [])
    try:
        workflows.train(bundle, data, target, overrides=overrides, resume=resume, device=device, progress=progress)
    except KeyboardInterrupt:
        if is_first() and progress != "json" and (target / "configs").is_dir():
            typer.echo(f"Interrupted; the same command with --resume goes on with {target}.", err=True)
        raise
    if is_first() and progress != "json":
        typer.echo(f"Trained bundle: {target}")
        ranking = target / "eval" / "unlabeled_scores.csv"
        if ranking.is_file():
            typer.echo(f"Its unlabelled images, the most suspicious first: {ranking}")


@app.command()
def calibrate(
    bundle: BundleArgument,
    data: DataOption,
    false_positive_rate: Annotated[
        float, typer.Option(help="Share of healthy images that may score above the threshold, between 0 and 1.")
    ] = 0.05,
    device: DeviceOption = "auto",
    progress: ProgressOption = "bar",
) -> None:
    """Calibrate a bundle's scores (p-values, threshold, findings) on healthy images that were held out of training."""
    with quick_imports():
        from monai_sagan import workflows
        from monai_sagan.calibration import describe_calibration

    calibration = workflows.calibrate(
        bundle, data, false_positive_rate=false_positive_rate, device=device, progress=progress
    )
    if progress != "json":
        for sentence in describe_calibration(calibration):
            typer.echo(sentence)


@app.command()
def evaluate(
    bundle: BundleArgument,
    data: DataOption,
    output: Annotated[Path, typer.Option(help="Folder for metrics.json and report.html.")],
    device: DeviceOption = "auto",
    progress: ProgressOption = "bar",
) -> None:
    """Evaluate a bundle on labelled test images, and write a report with curves and pictures."""
    with quick_imports():
        from monai_sagan import workflows

    metrics = workflows.evaluate(bundle, data, output, device=device, progress=progress)
    if progress != "json":
        if "accuracy" in metrics:
            show_classification(metrics)
        else:
            show_detection(metrics)
        for sentence in metrics["warnings"]:
            typer.echo(sentence)
        typer.echo(f"Page: {output / 'report.html'}")
    if metrics["num_failed"]:
        fail(f"{metrics['num_failed']} of the images could not be used; the page names them.")


@app.command()
def predict(
    bundle: BundleArgument,
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT...", help="Images, volumes, DICOM series, or folders of them.")
    ],
    output: Annotated[
        Path, typer.Option(help="Folder for the anomaly maps, a JSON summary of each, and a table of results.")
    ],
    series: Annotated[
        list[str] | None,
        typer.Option(help="Number or SeriesInstanceUID of a DICOM series to use; repeatable. Default: all."),
    ] = None,
    slice_direction: Annotated[
        SliceDirection | None,
        typer.Option(help="Direction in which volumes are cut into slices. Default: the bundle's."),
    ] = None,
    output_ext: Annotated[str, typer.Option(help="Format of the maps: .nii.gz, .nrrd, ...")] = ".nii.gz",
    save_restored: Annotated[bool, typer.Option("--save-restored", help="Write the restored images too.")] = False,
    save_dicom: Annotated[bool, typer.Option("--dicom", help="Write DICOM objects for the source series too.")] = False,
    map_threshold: Annotated[
        float | None, typer.Option(help="Map value above which voxels form the DICOM segmentation.")
    ] = None,
    keep_patient_data: Annotated[
        bool, typer.Option("--keep-patient-data", help="Include the patient's identifiers from DICOM in the JSON.")
    ] = False,
    judge_ood: Annotated[
        bool,
        typer.Option(
            "--judge-ood", help="Give p-values and findings for out-of-distribution images too; they are not valid."
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Recompute existing results instead of skipping them.")
    ] = False,
    device: DeviceOption = "auto",
    progress: ProgressOption = "bar",
) -> None:
    """Compute anomaly maps and scores of images and volumes."""
    with quick_imports():
        from monai_sagan import workflows

    counts = workflows.predict(
        bundle,
        inputs,
        output,
        series=series or (),
        slice_direction=slice_direction,
        output_ext=output_ext,
        save_restored=save_restored,
        save_dicom=save_dicom,
        map_threshold=map_threshold,
        keep_patient_data=keep_patient_data,
        judge_ood=judge_ood,
        overwrite=overwrite,
        device=device,
        progress=progress,
    )
    if counts is None:
        return
    total = sum(counts.values())
    if counts["num_failed"] < total and progress != "json":
        skipped = f" ({counts['num_skipped']} were there already)" if counts["num_skipped"] else ""
        typer.echo(f"Results: {output}{skipped}")
    if counts["num_failed"] and total > 1:
        fail(f"{counts['num_failed']} of {total} images could not be used.")
    if counts["num_failed"]:
        raise typer.Exit(1)  # why was said


@app.command()
def export(
    bundle: BundleArgument,
    output: Annotated[Path, typer.Option(help="The file to write.")],
    kind: Annotated[ExportFormat, typer.Option("--format", help="Format of the file.")] = "onnx",
) -> None:
    """Write a bundle's network to one file for other runtimes, and check it against the network."""
    with quick_imports():
        from monai_sagan.export import export_network

    error = export_network(bundle, output, kind)
    typer.echo(f"{output}: differs from the network by {error:.1e} at most.")


@app.command()
def view(
    volume: Annotated[
        Path,
        typer.Argument(
            metavar="VOLUME", help="The image that the result belongs to: NIfTI, NRRD, MetaImage or a picture."
        ),
    ],
    result: Annotated[
        Path | None,
        typer.Argument(
            metavar="RESULT", help="NAME_anomaly.json, the map beside it, or the folder of both. Default: the volume's."
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; by default only this computer can connect.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any that is free.")] = 8080,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address without opening a browser.")
    ] = False,
) -> None:
    """Show a volume and its map in a browser (needs the extra "viewer")."""
    with quick_imports():
        from monai_sagan.viewer import open_viewer
        from monai_sagan.viewer.address import check_address

    check_address(host, port)
    viewer = open_viewer(volume, result)
    viewer.serve(host, port, not no_browser, lambda address: typer.echo(f"Viewer, until Ctrl-C: {address}"))


@app.command()
def compare(
    data: Annotated[Path, typer.Option("--data", help="A data set's folder, with labelled test images.")],
    output: Annotated[Path, typer.Option(help="Folder for the trainings, the table and the picture.")],
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Settings, applied to every method that has them."),
    ] = None,
    methods: Annotated[
        str,
        typer.Option(
            help="Comma-separated: sagan, sagan-published, residual, classifier, autoencoder, variational, "
            "denoising. The first is compared with each of the others."
        ),
    ] = "sagan,sagan-published,classifier,autoencoder,variational,denoising",
    seeds: Annotated[int, typer.Option(help="Number of seeds, one training each.")] = 5,
    minutes: Annotated[float, typer.Option(help="Training minutes for each method and seed.")] = 4.0,
    anomaly_ratios: Annotated[
        str,
        typer.Option(help="Repeat everything with these shares of anomalous images in the unlabelled set: 0,0.2,..."),
    ] = "",
    device: DeviceOption = "auto",
    progress: ProgressOption = "bar",
) -> None:
    """Train methods of anomaly detection for the same time, and compare them; run again to continue."""
    with quick_imports():
        from monai_sagan.comparison import HEADINGS, compare_detection, detection_rows

    comparison = compare_detection(
        data,
        output,
        _parts(methods),
        num_seeds=seeds,
        minutes=minutes,
        anomaly_ratios=_numbers("--anomaly-ratios", anomaly_ratios),
        overrides=_parse_settings(settings or []),
        device=device,
        progress=progress,
    )
    if comparison is None or progress == "json":
        return
    for result in comparison["results"]:
        ratio = result["anomaly_ratio"]
        title = None if ratio is None else f"Anomaly ratio {ratio:g}"
        show_comparison(HEADINGS[:_SHOWN_COLUMNS], detection_rows(result["methods"]), title)
    typer.echo(f"Table: {output / 'comparison.md'}")


@app.command("compare-attention")
def compare_attention(
    data: Annotated[Path, typer.Option("--data", help="A folder of labelled images.")],
    output: Annotated[Path, typer.Option(help="Folder for the trainings, the table and the maps.")],
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Settings of the bundle, such as epochs=20.")
    ] = None,
    backbones: Annotated[
        str, typer.Option(help="Comma-separated names of networks.")
    ] = "googlenet,vgg16,resnet50,densenet121",
    seeds: Annotated[int, typer.Option(help="Number of seeds, one training each.")] = 5,
    source: Annotated[
        str, typer.Option(help="What the weight map is learned from: batch, bank or statistics.")
    ] = "statistics",
    device: DeviceOption = "auto",
    progress: ProgressOption = "bar",
) -> None:
    """Train networks with and without global attention, and compare them; run again to continue."""
    with quick_imports():
        from monai_sagan.comparison import compare_attention, comparison_rows

    comparison = compare_attention(
        data,
        output,
        _parts(backbones),
        num_seeds=seeds,
        source=source,  # type: ignore[arg-type]
        overrides=_parse_settings(settings or []),
        device=device,
        progress=progress,
    )
    if comparison is None or progress == "json":
        return
    headings = ("Network", "Measure", "Without", "With", "Difference (95% interval)", "p")
    show_comparison(headings, comparison_rows(comparison))
    typer.echo(f"Table: {output / 'comparison.md'}")


@app.command("import-checkpoint")
def import_checkpoint(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="FILE.ckpt", help="Generator weights as the authors of SAGAN published them.")
    ],
    target: Annotated[Path, typer.Argument(metavar="DST_BUNDLE", help="Folder of the bundle to make.")],
) -> None:
    """Make a bundle from weights that the authors of SAGAN published."""
    with quick_imports():
        from monai_sagan import workflows

    workflows.import_checkpoint(checkpoint, target)
    typer.echo(f"Bundle: {target}")


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _numbers(option: str, text: str) -> list[float]:
    try:
        return [float(part) for part in _parts(text)]
    except ValueError as error:
        raise UserError(f"{option} {text}: give comma-separated numbers, such as 0,0.5,1.") from error


def _parse_settings(settings: list[str]) -> dict[str, Any]:
    """``KEY=VALUE`` to config ids and values: JSON where it is, else text."""
    parsed: dict[str, Any] = {}
    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator or not key:
            raise UserError(f"{setting}: settings have the form KEY=VALUE.")
        try:
            parsed[key] = json.loads(text)
        except json.JSONDecodeError:
            parsed[key] = text
    return parsed


def main() -> None:
    """Runs the command; a user's mistake ends it with one sentence and exit code 1."""
    run_command(app)
