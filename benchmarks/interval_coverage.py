"""How often the interval of an AUC holds the true one, with few images and many.

    python benchmarks/interval_coverage.py [--repeats 300]

draws scores of healthy and anomalous images from two normal distributions whose AUC is known, again and again, and
counts in how many of these test sets the interval that ``monai-sagan evaluate`` gives holds it. Writes
benchmarks/results/interval_coverage_cpu.json and prints the table in docs/results/README.md.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from result_files import parse_arguments, write_result

from monai_sagan.metrics import image_auc
from monai_sagan.report.evaluation import CONFIDENCE, RESAMPLES

__all__ = ["coverage"]

# Healthy and anomalous images, and the true AUC; the last three sizes are those of the published test sets.
SETTINGS = [
    (10, 10, 0.90),
    (10, 10, 0.97),
    (20, 20, 0.90),
    (20, 20, 0.97),
    (30, 85, 0.97),
    (75, 150, 0.87),
    (50, 300, 0.97),
]


def main(argv: Sequence[str] | None = None) -> None:
    """Runs what the arguments say."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=300, help="test sets that are drawn")
    parser.add_argument("--resamples", type=int, default=RESAMPLES, help="of each test set")
    arguments = parse_arguments(parser, argv, is_of_cpu=True)
    rows = []
    print("| healthy, anomalous | true AUC | intervals that hold it |\n| --- | --- | --- |")
    for healthy, anomalous, auc in SETTINGS:
        share = coverage(healthy, anomalous, auc, arguments.repeats, arguments.resamples)
        rows.append({"healthy": healthy, "anomalous": anomalous, "auc": auc, "coverage": share})
        print(f"| {healthy}, {anomalous} | {auc} | {share:.2f} |", flush=True)
    write_result("interval_coverage", arguments, {"confidence": CONFIDENCE, "rows": rows})


def coverage(healthy: int, anomalous: int, auc: float, repeats: int, resamples: int = RESAMPLES) -> float:
    """The share of test sets whose interval holds the true AUC.

    Args:
        healthy: images of a test set.
        anomalous: likewise.
        auc: the true one.
        repeats: test sets.
        resamples: of each of them.
    """
    random = np.random.default_rng([healthy, anomalous, round(1000 * auc)])
    shift = NormalDist().inv_cdf(auc) * 2**0.5
    labels = [0] * healthy + [1] * anomalous
    held = 0
    for seed in range(repeats):
        scores = np.concatenate([random.normal(size=healthy), random.normal(shift, size=anomalous)])
        found = image_auc(labels, scores, confidence=CONFIDENCE, resamples=resamples, seed=seed)
        held += found.low <= auc <= found.high
    return held / repeats


if __name__ == "__main__":
    main()
