"""A forest of decision trees that was grown by scikit-learn, as a module of torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from sklearn.ensemble import ExtraTreesClassifier
from torch import nn

__all__ = ["Forest"]

_LEAF = -1


class Forest(nn.Module):
    """Gives the probability of the second of two classes, as the mean of what trees say.

    A forest as tensors alone: it is saved and loaded with other weights, without pickled objects, and runs on any
    device. Nodes of all trees lie behind each other, each tree in depth-first order, so that where a question is
    answered with "no larger" the next node follows. A node takes 10 bytes.

    Loading a state dictionary gives the module the size of the forest in it.

    Attributes:
        roots: (trees,), int32: number of each tree's first node.
        feature: (nodes,), int16: which feature a node asks for; -1 in a leaf.
        value: (nodes,), float32: with what it is compared; in a leaf, the probability.
        otherwise: (nodes,), int32: the next node where the feature is larger.
    """

    roots: torch.Tensor
    feature: torch.Tensor
    value: torch.Tensor
    otherwise: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, dtype in (
            ("roots", torch.int32),
            ("feature", torch.int16),
            ("value", torch.float32),
            ("otherwise", torch.int32),
        ):
            self.register_buffer(name, torch.zeros(0, dtype=dtype))

    @classmethod
    def from_sklearn(cls, forest: ExtraTreesClassifier) -> Forest:
        """The same forest as a module.

        Args:
            forest: fitted, with two classes and at most 32767 features; trees grow depth first, as they do unless
                the number of leaves is limited.

        Returns:
            A module that gives what ``predict_proba`` gives of the second class.

        Raises:
            ValueError: if the forest has another number of classes, too many features or another order of nodes.
        """
        if len(forest.classes_) != 2 or forest.n_features_in_ > np.iinfo(np.int16).max:
            raise ValueError(
                f"expected two classes and at most {np.iinfo(np.int16).max} features, not {len(forest.classes_)} "
                f"classes and {forest.n_features_in_} features."
            )
        trees = [estimator.tree_ for estimator in forest.estimators_]
        starts = np.cumsum([0, *(tree.node_count for tree in trees)])
        parts = [_flatten(tree, start) for tree, start in zip(trees, starts)]
        module = cls()
        module.roots = torch.from_numpy(starts[:-1].astype(np.int32))
        for name in ("feature", "value", "otherwise"):
            setattr(module, name, torch.from_numpy(np.concatenate([part[name] for part in parts])))
        return module

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Asks all trees.

        Args:
            features: (B, F), float32.

        Returns:
            (B,), probabilities.
        """
        node = self.roots.long().expand(len(features), -1)
        while True:
            feature = self.feature[node].long()
            inner = feature != _LEAF
            if not bool(inner.any()):
                return self.value[node].mean(dim=1)
            no_larger = features.gather(1, feature.clamp(min=0)) <= self.value[node]
            following = torch.where(no_larger, node + 1, self.otherwise[node].long())
            node = torch.where(inner, following, node)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        for name, buffer in self.named_buffers():
            new = state_dict.get(prefix + name)
            if isinstance(new, torch.Tensor):
                setattr(self, name, buffer.new_empty(new.shape))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def _flatten(tree: Any, start: int) -> dict[str, np.ndarray]:
    """A tree of scikit-learn, whose first node has number ``start``, as arrays with one entry a node."""
    leaf = tree.children_left == -1
    inner = np.flatnonzero(~leaf)
    if not np.array_equal(tree.children_left[inner], inner + 1):
        raise ValueError("the trees were not grown depth first.")
    weights = tree.value[:, 0]
    probability = weights[:, 1] / weights.sum(axis=1)
    return {
        "feature": np.where(leaf, _LEAF, tree.feature).astype(np.int16),
        "value": np.where(leaf, probability, _round_down(tree.threshold)).astype(np.float32),
        "otherwise": np.where(leaf, 0, tree.children_right + start).astype(np.int32),
    }


def _round_down(thresholds: np.ndarray) -> np.ndarray:
    """The largest 32-bit numbers that are no larger: a 32-bit feature is on the same side of them."""
    nearest = thresholds.astype(np.float32)
    return np.where(nearest > thresholds, np.nextafter(nearest, np.float32(-np.inf)), nearest)
