"""What the page looks like: views on the left; on the right the result and what steers the views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trame.ui.vuetify3 import VAppLayout
from trame.widgets import client, html
from trame.widgets import vuetify3 as vuetify
from trame_client.ui.core import AbstractLayout
from trame_client.widgets.core import AbstractElement
from trame_server import Server

from monai_sagan.viewer.views import Views

__all__ = ["Steering", "build_page", "with_key"]

_WIDTH = 340  # of the panel, in pixels
_STYLE = """
html { overflow: hidden; }
.slice-slider-gutter { width: calc(100% - 64px) !important; }
.chart { display: block; width: 100%; height: 120px; background: #0006; cursor: pointer; }
/* White, which is the theme's, is hard to read on the notice's amber. */
#notice { color: #000 !important; }
.chart .ground { fill: transparent; }
.chart .bar { fill: #8a8a8a; }
.chart .high { fill: #f09020; }
.chart .present { fill: none; stroke: #fff; stroke-width: 2px; vector-effect: non-scaling-stroke; }
.chart .present { pointer-events: none; }
.chart g:hover .ground { fill: #fff3; }
"""
# There is nothing before and after a single slice.
_STYLE_OF_PICTURE = ".slice-slider-gutter { display: none; }"


@dataclass(frozen=True)
class Steering:
    """What the page's buttons and its chart do.

    Attributes:
        jump: moves the slice views to a slice, by its row.
        step: moves them by so many rows.
        next_high_slice: moves them to the next one with a high score.
        next_finding: marks the next finding, and moves them there.
        mark_peak: marks where the map is highest, and moves them there.
    """

    jump: Callable[[int], Any]
    step: Callable[[int], Any]
    next_high_slice: Callable[[], Any]
    next_finding: Callable[[], Any]
    mark_peak: Callable[[], Any]


def build_page(server: Server, views: Views, steering: Steering) -> AbstractLayout:
    """The page; what it shows is the server's state.

    Args:
        server: of the page.
        views: of the scene.
        steering: what a user can do.

    Returns:
        Its layout.
    """
    with VAppLayout(server, theme="dark", height="720px") as page:
        client.Style(_STYLE)
        if views.is_flat:
            client.Style(_STYLE_OF_PICTURE)
        with (
            vuetify.VNavigationDrawer(location="right", permanent=True, width=_WIDTH),
            html.Div(classes="pa-4 d-flex flex-column ga-5"),
        ):
            _add_result()
            _add_display()
            _add_slices(steering)
            _add_footnote()
        with vuetify.VMain(style="height: 100vh"):
            views.fill(page)
    return page


def with_key(
    builder: Callable[[AbstractLayout], dict[str, str]], key: str
) -> Callable[[AbstractLayout], dict[str, str]]:
    """Adds the key to the address by which a notebook shows a page."""

    def build(page: AbstractLayout) -> dict[str, str]:
        attributes = builder(page)
        return {**attributes, "src": f"{attributes['src']}&secret={key}"}

    return build


def _add_result() -> None:
    with html.Div():
        html.Div("{{ volume_name }}", classes="text-subtitle-1 font-weight-medium", style="overflow-wrap: anywhere")
        vuetify.VAlert("{{ notice }}", id="notice", v_if=("notice",), type="warning", density="compact", classes="mt-2")
        with html.Div(v_if=("score !== null",), classes="d-flex align-baseline ga-2 mt-2"):
            html.Span("{{ score }}", id="score", classes="text-h4")
            html.Span("anomaly score", classes="text-medium-emphasis")
        html.Div("p-value {{ p_value }}", v_if=("p_value !== null",))
        with html.Div(v_for="item in classes", key="item.name", classes="class d-flex justify-space-between mt-1"):
            html.Span("{{ item.name }}")
            html.Span("{{ item.percent }}")
        html.Div(
            "{{ sentence }}",
            id="sentence",
            classes="text-body-2 text-medium-emphasis mt-2",
            style="white-space: pre-line",
        )


def _add_display() -> None:
    with html.Div(v_if=("has_map",)):
        _add_slider("threshold", "Threshold", "{{ Number(threshold.toPrecision(2)) }}", "highest", "step")
        _add_legend()
        _add_slider("opacity", "Opacity", "{{ Math.round(100 * opacity) }} %", "1", "0.01")


def _add_slider(name: str, label: str, value: str, largest: str, step: str) -> None:
    with html.Div(classes="d-flex justify-space-between text-body-2 mt-2"):
        html.Span(label)
        html.Span(value)
    vuetify.VSlider(
        id=name,
        v_model=(name,),
        min=0,
        max=(largest,),
        step=(step,),
        color="orange-darken-2",
        density="compact",
        hide_details=True,
        name=label,  # what a screen reader calls it
    )


def _add_legend() -> None:
    """The colours of the map, grey where the threshold hides them."""
    with html.Div(style="position: relative; height: 10px; margin: 0 8px"):
        html.Div(style=("{height: '100%', background: `linear-gradient(to right, ${colors.join(',')})`}",))
        html.Div(
            style=(
                "{position: 'absolute', top: 0, left: 0, height: '100%', background: '#333',"
                " width: `${100 * Math.min(1, threshold / highest)}%`}",
            )
        )
    with html.Div(classes="d-flex justify-space-between text-caption text-medium-emphasis", style="margin: 0 8px"):
        html.Span("0")
        html.Span("{{ map_name }}")
        html.Span("{{ Number(highest.toPrecision(2)) }}")


def _add_slices(steering: Steering) -> None:
    with html.Div():
        with html.Div(v_if=("slices.length",)):
            html.Div("Scores of slices, in orange the high ones: {{ high_words }}", classes="text-body-2 mb-1")
            _add_chart(steering)
            html.Div(
                "{{ row === null ? '' : `Slice ${row + 1} of ${slices.length}, at ${slices[row].mm.toFixed(1)} mm:"
                " ${Number(slices[row].score.toPrecision(3))}` }}",
                id="slice",
                classes="text-caption text-medium-emphasis",
                style="min-height: 20px",
            )
        html.Div("{{ finding }}", id="finding", v_if=("finding",), classes="text-caption text-medium-emphasis")
        with html.Div(classes="d-flex flex-wrap ga-2 mt-2"):
            for button, label, call, condition in (
                ("next", "Next high slice", steering.next_high_slice, "slices.some(s => s.high)"),
                ("finding-button", "Next finding", steering.next_finding, "num_findings"),
                ("peak", "Peak", steering.mark_peak, "has_peak"),
            ):
                vuetify.VBtn(
                    label, id=button, click=call, v_if=(condition,), variant="tonal", size="small", classes="text-none"
                )


def _add_chart(steering: Steering) -> None:
    """A bar a slice, which a click moves the views to, and so do the arrow keys."""
    chart = AbstractElement(
        "svg",
        id="chart",
        classes="chart",
        raw_attrs=[
            ':viewBox="`0 0 ${slices.length} 100`" preserveAspectRatio="none" tabindex="0"',
            'role="slider" aria-label="Scores of slices" aria-valuemin="1" :aria-valuemax="slices.length"',
            ':aria-valuenow="row + 1" :aria-valuetext="`Slice ${row + 1}: ${slices[row]?.score.toPrecision(3)}`"',
        ],
        __events=[("before", "keydown.left.prevent"), ("after", "keydown.right.prevent")],
        before=(steering.step, "[-1]"),
        after=(steering.step, "[1]"),
    )
    with chart:
        with AbstractElement("g", v_for="(slice, index) in slices", key="index", click=(steering.jump, "[index]")):
            AbstractElement("title", "Slice {{ index + 1 }}: {{ Number(slice.score.toPrecision(3)) }}")
            AbstractElement("rect", classes="ground", raw_attrs=[':x="index" width="1" height="100"'])
            AbstractElement(
                "rect",
                classes=("slice.high ? 'high' : 'bar'",),
                raw_attrs=[
                    ':x="index + 0.1" width="0.8" :y="100 - slice.height" :height="slice.height"',
                ],
            )
        AbstractElement(
            "rect", classes="present", v_if=("row !== null",), raw_attrs=[':x="row" width="1" height="100"']
        )


def _add_footnote() -> None:
    html.Div("Research only, not for diagnosis. Result by {{ bundle }}.", classes="text-caption text-disabled")
