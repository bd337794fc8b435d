"""What global attention adds to the time of a training step, and of inference once it is frozen.

    python benchmarks/attention.py

times steps of each network without attention and with each source of its features in turn, in one process, so that a
slow moment hits all of them, and writes benchmarks/results/attention_DEVICE.json. The table in
docs/results/attention.md is what it prints: medians of the ratios to the step without attention of the same turn.
"""

from __future__ import annotations

import statistics
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from typing import Any

import torch
from result_files import parse_arguments, write_result
from spreads import ratios
from timing import in_turn

from monai_sagan.losses import AttentionClassificationLoss
from monai_sagan.markdown import markdown_table
from monai_sagan.networks import GlobalAttentionClassifier, GlobalSpatialAttention, make_backbone

SIZE = [64, 64]
BATCH = 32
NETWORKS: dict[str, dict[str, float]] = {"resnet50": {}, "resnet18": {}, "resnet10": {"widen_factor": 0.25}}
SOURCES = ("batch", "bank", "statistics")


def main(argv: Sequence[str] | None = None) -> None:
    """Runs what the arguments say."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=30)
    arguments = parse_arguments(parser, argv)
    device = torch.device(arguments.device)
    rows = []
    for name, settings in NETWORKS.items():
        makers = {"training": training_step, "inference": inference_step}
        for kind, make in makers.items():
            sources = SOURCES if kind == "training" else ("frozen",)
            steps = {source: make(name, settings, source, device) for source in (None, *sources)}
            rows += [{"network": name, "kind": kind, **row} for row in compare(steps, arguments.repeats, device)]
    write_result("attention", arguments, {"size": SIZE, "batch": BATCH, "rows": rows})
    print(make_table(rows))


def make_classifier(
    name: str, settings: dict[str, float], source: Any, device: torch.device
) -> GlobalAttentionClassifier:
    """A classifier with the features of its attention gathered."""
    torch.manual_seed(0)
    attention = None if source is None else GlobalSpatialAttention(2, SIZE, source, num_images=BATCH)
    classifier = GlobalAttentionClassifier(make_backbone(name, settings=settings), attention).to(device)
    if source in ("bank", "statistics"):
        classifier.gather([a_batch(device)])
    return classifier


def a_batch(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand((BATCH, 1, *SIZE), generator=generator) * 2 - 1
    return images.to(device), (torch.arange(BATCH) % 2).to(device)


def training_step(name: str, settings: dict[str, float], source: Any, device: torch.device) -> Callable[[], None]:
    """One step as the bundle trains."""
    classifier = make_classifier(name, settings, source, device)
    loss = AttentionClassificationLoss(classifier)
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=1e-3)
    images, labels = a_batch(device)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(classifier(images), labels).backward()
        optimizer.step()

    return step


def inference_step(name: str, settings: dict[str, float], source: Any, device: torch.device) -> Callable[[], None]:
    """One batch in inference."""
    classifier = make_classifier(name, settings, source, device).eval()
    images, _ = a_batch(device)

    def step() -> None:
        with torch.inference_mode():
            classifier(images)

    return step


def compare(steps: dict[Any, Callable[[], None]], repeats: int, device: torch.device) -> list[dict[str, Any]]:
    """Runs the steps in turn.

    Returns:
        For each source its ``seconds`` (median) and ``ratios`` to the step without attention of the same turn.
    """
    seconds = in_turn(steps, repeats, device, warm_up=3)
    return [
        {
            "source": source or "none",
            "seconds": statistics.median(values),
            "ratios": sorted(ratios(values, seconds[None])),
        }
        for source, values in seconds.items()
    ]


def make_table(rows: list[dict[str, Any]]) -> str:
    """Medians, and in brackets the middle half of the ratios, as Markdown."""
    cells = []
    for row in rows:
        low, middle, high = statistics.quantiles(row["ratios"], n=4)
        ratio = "1" if row["source"] == "none" else f"{middle:.3f} ({low:.3f} to {high:.3f})"
        cells.append([row["network"], row["kind"], row["source"], f"{1000 * row['seconds']:.1f}", ratio])
    return markdown_table(["network", "step", "attention", "milliseconds", "ratio"], cells)


if __name__ == "__main__":
    main()
