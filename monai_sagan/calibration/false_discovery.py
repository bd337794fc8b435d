"""Many p-values at once: which of them may be called findings, with a bounded share of false ones.

Source: Benjamini and Hochberg, "Controlling the false discovery rate", J. R. Statist. Soc. B 57, 1995.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import false_discovery_control

__all__ = ["false_discovery_mask"]


def false_discovery_mask(p_values: np.ndarray, rate: float = 0.05) -> np.ndarray:
    """Which p-values are findings.

    Args:
        p_values: of all pixels, or regions, that are looked at; in [0, 1], of any shape.
        rate: the share of false findings among all findings that is accepted on average, in (0, 1).

    Returns:
        Booleans of the same shape.

    Raises:
        ValueError: if a p-value or the rate is out of its range.
    """
    if not 0.0 < rate < 1.0:
        raise ValueError(f"The false discovery rate must lie between 0 and 1, not {rate}.")
    values = np.asarray(p_values, dtype=float)
    if not ((values >= 0.0) & (values <= 1.0)).all():
        raise ValueError("p-values must lie in [0, 1].")
    if not values.size:
        return np.zeros(values.shape, dtype=bool)
    return (false_discovery_control(values.ravel()) <= rate).reshape(values.shape)
