"""A forest of scikit-learn as a module of torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.ensemble import ExtraTreesClassifier

from monai_sagan.files import read_tensors, save_tensors
from monai_sagan.networks import Forest


def some_features(count: int = 200, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 12)).astype(np.float32)


def a_forest(trees: int = 20, classes: int = 2, **settings: int) -> ExtraTreesClassifier:
    features = some_features()
    labels = np.digitize(features[:, 0] * features[:, 1] + 0.3 * features[:, 2], [0.0, 0.5][: classes - 1])
    forest = ExtraTreesClassifier(trees, class_weight="balanced", random_state=0, **settings)
    return forest.fit(features, labels)


@pytest.mark.parametrize("leaf", [1, 2, 30])
def test_it_gives_what_scikit_learn_gives(leaf: int) -> None:
    forest = a_forest(min_samples_leaf=leaf)
    # What was learned from, and what was not: the former lies on the thresholds' own scale.
    features = np.concatenate([some_features(), some_features(seed=1) * 3])
    found = Forest.from_sklearn(forest)(torch.from_numpy(features))
    np.testing.assert_allclose(found.numpy(), forest.predict_proba(features)[:, 1], rtol=0, atol=1e-6)


def test_a_feature_on_a_threshold_goes_the_way_it_does_in_scikit_learn() -> None:
    forest = a_forest(trees=5)
    tree = forest.estimators_[0].tree_
    features = some_features(400)
    for row, node in enumerate(np.flatnonzero(tree.children_left != -1)[:100]):
        nearest = np.float32(tree.threshold[node])
        features[3 * row : 3 * row + 3, tree.feature[node]] = [
            np.nextafter(nearest, np.float32(-np.inf)),
            nearest,
            np.nextafter(nearest, np.float32(np.inf)),
        ]
    found = Forest.from_sklearn(forest)(torch.from_numpy(features))
    np.testing.assert_allclose(found.numpy(), forest.predict_proba(features)[:, 1], rtol=0, atol=1e-6)


def test_a_new_module_takes_a_forest_of_any_size(tmp_path: Path) -> None:
    forest, features = Forest.from_sklearn(a_forest()), torch.from_numpy(some_features())
    save_tensors({"forest." + name: tensor for name, tensor in forest.state_dict().items()}, tmp_path / "forest.pt")
    around = torch.nn.ModuleDict({"forest": Forest()})
    around.load_state_dict(read_tensors(tmp_path / "forest.pt"))
    assert torch.equal(around["forest"](features), forest(features))
    assert around["forest"].feature.dtype == torch.int16


def test_a_state_that_lacks_something_is_refused() -> None:
    state = Forest.from_sklearn(a_forest()).state_dict()
    del state["value"]
    with pytest.raises(RuntimeError, match="value"):
        Forest().load_state_dict(state)


def test_trees_that_are_a_single_leaf() -> None:
    forest = a_forest(trees=3, min_samples_leaf=150)
    assert all(tree.tree_.node_count == 1 for tree in forest.estimators_)
    found = Forest.from_sklearn(forest)(torch.from_numpy(some_features(4)))
    torch.testing.assert_close(found, torch.full((4,), 0.5), rtol=0, atol=1e-6)


def test_more_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="not 3 classes and 12 features"):
        Forest.from_sklearn(a_forest(classes=3))


def test_trees_grown_in_another_order_are_refused() -> None:
    with pytest.raises(ValueError, match="depth first"):
        Forest.from_sklearn(a_forest(max_leaf_nodes=12))
