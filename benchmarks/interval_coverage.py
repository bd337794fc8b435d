"""How often the intervals of AUC and average precision hold the true one, with few images and many.

    python benchmarks/interval_coverage.py [--repeats 1000]

draws scores of healthy and anomalous images from two normal distributions whose AUC is known, again and again, and
counts in how many of these test sets the intervals that ``monai-sagan evaluate`` gives hold it; beside them, those that
are more usual: DeLong's for an AUC, and the percentiles of a stratified bootstrap. Writes
benchmarks/results/interval_coverage_cpu.json and prints the table in docs/results/README.md.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray
from result_files import parse_arguments, write_result
from scipy.integrate import quad

from monai_sagan.metrics import Interval, delong_auc, image_auc, image_average_precision
from monai_sagan.metrics.bootstrap import Metric, bootstrapped
from monai_sagan.metrics.resampled_area import ResampledArea
from monai_sagan.report.evaluation import CONFIDENCE

__all__ = ["coverage"]

# Healthy and anomalous images, and the true AUC; the last three are those of the published test sets.
SIZES = [
    (10, 10, 0.90),
    (10, 10, 0.97),
    (20, 20, 0.90),
    (20, 20, 0.97),
    (20, 200, 0.90),
    (30, 85, 0.97),
    (75, 150, 0.87),
    (50, 300, 0.97),
]
# Standard deviation of the scores of anomalous images, where that of healthy ones is 1.
SPREADS = (1.0, 2.0, 0.5)

_Intervals = Callable[[NDArray[np.int64], NDArray[np.float64]], Interval]


def main(argv: Sequence[str] | None = None) -> None:
    """Runs what the arguments say."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1000, help="test sets that are drawn")
    parser.add_argument("--resamples", type=int, default=200, help="of each test set, by the bootstrap")
    arguments = parse_arguments(parser, argv, is_of_cpu=True)
    rows = []
    print("| healthy, anomalous | true AUC | spread | AUC | DeLong | bootstrap | average precision | bootstrap |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for spread in SPREADS:
        for healthy, anomalous, auc in SIZES:
            shares = coverage(healthy, anomalous, auc, spread, arguments.repeats, arguments.resamples)
            rows.append({"healthy": healthy, "anomalous": anomalous, "auc": auc, "spread": spread, "coverage": shares})
            cells = " | ".join(f"{share:.2f}" for share in shares.values())
            print(f"| {healthy}, {anomalous} | {auc} | {spread} | {cells} |", flush=True)
    write_result("interval_coverage", arguments, {"confidence": CONFIDENCE, "rows": rows})


def coverage(healthy: int, anomalous: int, auc: float, spread: float, repeats: int, resamples: int) -> dict[str, float]:
    """The share of test sets whose interval holds the true value, by kind of interval.

    Args:
        healthy: images of a test set.
        anomalous: likewise.
        auc: the true one.
        spread: standard deviation of the anomalous images' scores; that of the healthy ones' is 1.
        repeats: test sets.
        resamples: of each of them, by the bootstrap.
    """
    random = np.random.default_rng([healthy, anomalous, round(1000 * auc), round(10 * spread)])
    shift = NormalDist().inv_cdf(auc) * (1 + spread**2) ** 0.5
    precision = _average_precision(shift, spread, anomalous / (healthy + anomalous))
    labels = np.repeat([0, 1], [healthy, anomalous])

    def resampled(metric: Callable[..., Any]) -> _Intervals:
        return lambda labels, scores: bootstrapped(metric(labels == 1, scores), labels, CONFIDENCE, resamples, seed=0)

    kinds: dict[str, tuple[_Intervals, float]] = {
        "auc": (image_auc, auc),
        "auc_delong": (delong_auc, auc),
        "auc_bootstrap": (resampled(ResampledArea), auc),
        "average_precision": (image_average_precision, precision),
        "average_precision_bootstrap": (resampled(_resampled_precision), precision),
    }
    held = dict.fromkeys(kinds, 0)
    for _ in range(repeats):
        scores = np.concatenate([random.normal(size=healthy), random.normal(shift, spread, size=anomalous)])
        for kind, (interval, true) in kinds.items():
            found = interval(labels, scores)
            held[kind] += found.low <= true <= found.high
    return {kind: count / repeats for kind, count in held.items()}


def _resampled_precision(is_anomalous: NDArray[np.bool_], scores: NDArray[np.float64]) -> Metric:
    """Average precision when image n is there a number of times; no two scores are equal."""
    order = np.argsort(-scores)
    is_anomalous = is_anomalous[order]

    def precision(times: NDArray[np.int64]) -> float:
        ordered = times[order]
        found = np.cumsum(np.where(is_anomalous, ordered, 0))
        precisions = found / np.maximum(np.cumsum(ordered), 1)
        return float((precisions * ordered)[is_anomalous].sum() / found[-1])

    return precision


def _average_precision(shift: float, spread: float, share: float) -> float:
    """That of normal scores, where a share of the images is anomalous: the mean precision at their scores."""
    of_healthy, of_anomalous = NormalDist(), NormalDist(shift, spread)

    def precision(score: float) -> float:
        found, false = share * (1 - of_anomalous.cdf(score)), (1 - share) * (1 - of_healthy.cdf(score))
        return of_anomalous.pdf(score) * (found / (found + false) if found + false else 1.0)

    return float(quad(precision, shift - 6 * spread, shift + 6 * spread)[0])


if __name__ == "__main__":
    main()
