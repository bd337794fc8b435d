"""The panel's .ui file, against itself and against the parameter node that it is bound to."""

from __future__ import annotations

import ast
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT_CLASS = "qMRMLWidget"
# What a user presses, chooses, types or moves; each says what it does when the mouse rests on it.
OPERATED = ("Button", "ComboBox", "CheckBox", "Slider", "SliderWidget", "LineEdit", "SpinBox")
SECTION = "ctkCollapsibleButton"
TOLD_BY_THE_MODULE = {"applyButton"}  # which says what is in its way


@pytest.fixture(scope="module")
def panel(module_folder: Path) -> ET.Element:
    return ET.parse(module_folder / "Resources" / "UI" / "AnomalyMap.ui").getroot()  # noqa: S314 (our own file)


@pytest.fixture(scope="module")
def fields(module_folder: Path) -> set[str]:
    """The parameters that the module keeps in the scene."""
    tree = ast.parse((module_folder / "AnomalyMap.py").read_text(encoding="utf-8"))
    (wrapped,) = (
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef) and "parameterNodeWrapper" in map(ast.unparse, node.decorator_list)
    )
    return {ast.unparse(node.target) for node in wrapped.body if isinstance(node, ast.AnnAssign)}


@pytest.fixture(scope="module")
def roles(module_folder: Path) -> set[str]:
    """The nodes of a result; they are in the parameter node, but no widget chooses them."""
    tree = ast.parse((module_folder / "AnomalyMapLib" / "nodes.py").read_text(encoding="utf-8"))
    (value,) = (
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ROLES"
    )
    return set(ast.literal_eval(value))


def widgets(panel: ET.Element) -> Iterator[tuple[str, str, ET.Element]]:
    """Class and name of all widgets, from the outermost on."""
    for element in panel.iter("widget"):
        yield element.attrib["class"], element.attrib["name"], element


def text_of(element: ET.Element, name: str) -> str:
    """A property of a widget, empty where it has none."""
    return element.findtext(f"./property[@name='{name}']/string") or ""


def bound(panel: ET.Element) -> list[str]:
    """The parameters that widgets are bound to."""
    return [name for _, _, element in widgets(panel) if (name := text_of(element, "SlicerParameterName"))]


def test_outermost_widget_hands_the_scene_on(panel: ET.Element) -> None:
    kind, name, _ = next(widgets(panel))
    assert (kind, name) == (ROOT_CLASS, "AnomalyMap")


def test_names_are_unique(panel: ET.Element) -> None:
    assert [name for name, count in Counter(name for _, name, _ in widgets(panel)).items() if count > 1] == []


def test_custom_widgets_are_declared_with_their_header(panel: ET.Element) -> None:
    """Without it, Qt Designer and Slicer's loader make plain widgets in their place."""
    used = {kind for kind, _, _ in widgets(panel) if not kind.startswith("Q")}
    declared = {element.findtext("class"): element for element in panel.iter("customwidget")}
    assert set(declared) == used
    for element in declared.values():
        assert element.findtext("header")
        assert element.findtext("extends")


def test_mrml_widgets_get_the_scene(panel: ET.Element) -> None:
    connected = {
        connection.findtext("receiver")
        for connection in panel.iter("connection")
        if connection.findtext("sender") == "AnomalyMap"
        and connection.findtext("signal") == "mrmlSceneChanged(vtkMRMLScene*)"
        and connection.findtext("slot") == "setMRMLScene(vtkMRMLScene*)"
    }
    assert connected == {name for kind, name, _ in widgets(panel) if kind.startswith("qMRML") and kind != ROOT_CLASS}


def test_connections_are_between_widgets_of_the_panel(panel: ET.Element) -> None:
    names = {name for _, name, _ in widgets(panel)}
    for connection in panel.iter("connection"):
        assert {connection.findtext("sender"), connection.findtext("receiver")} <= names


def test_widgets_are_bound_to_parameters_that_exist(panel: ET.Element, fields: set[str]) -> None:
    assert set(bound(panel)) <= fields


def test_no_two_widgets_are_bound_to_one_parameter(panel: ET.Element) -> None:
    assert [name for name, count in Counter(bound(panel)).items() if count > 1] == []


def test_every_parameter_that_is_chosen_has_its_widget(panel: ET.Element, fields: set[str], roles: set[str]) -> None:
    assert fields - roles <= set(bound(panel))


def test_the_input_is_chosen_and_every_node_of_a_result_is_a_parameter(
    panel: ET.Element, fields: set[str], roles: set[str]
) -> None:
    assert roles <= fields
    assert "inputVolume" in bound(panel)


def test_labels_of_forms_lead_to_their_fields_by_a_key(panel: ET.Element) -> None:
    """Alt and a letter, a different one each, and none of Slicer's own menus: File, Edit, View, Help."""
    texts = {name: text_of(element, "text") for _, name, element in widgets(panel)}
    names = {name for _, name, _ in widgets(panel)}
    buddies = {
        name: buddy
        for _, name, element in widgets(panel)
        if (buddy := element.findtext("./property[@name='buddy']/cstring"))
    }
    keys = [texts[name].partition("&")[2][:1].upper() for name in buddies]
    assert set(buddies.values()) <= names
    assert {"inputVolumeLabel", "bundleLabel", "thresholdLabel", "opacityLabel"} <= set(buddies)
    assert len(set(keys)) == len(keys)
    assert not set(keys) & {"", *"FEVH"}


def test_whatever_is_operated_says_what_it_does(panel: ET.Element) -> None:
    operated = [
        (name, text_of(element, "toolTip"))
        for kind, name, element in widgets(panel)
        if kind.endswith(OPERATED) and kind != SECTION
    ]
    assert operated
    assert {name for name, tool_tip in operated if not tool_tip} <= TOLD_BY_THE_MODULE
