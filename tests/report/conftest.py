"""Reading the pages of reports."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest


class Page(HTMLParser):
    """What a page loads, the rows of its tables, its cases by their heading, and all text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.open_tags: list[str] = []
        self.alternatives: list[str] = []
        self.rows: list[list[str]] = []
        self.headings: list[str] = []
        self.cases: dict[str, list[str]] = {}
        self.text = ""
        self.feed(html)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.open_tags.append(tag)
        names = ("src", "href", "xlink:href", "srcset", "data", "poster", "action")
        self.loaded += [value for key, value in attrs if key in names]
        self.alternatives += [value for key, value in attrs if key == "alt"]
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        if "style" not in self.open_tags:
            self.text += data + " "
        if {"td", "th"} & set(self.open_tags):
            self.rows[-1][-1] += data
        elif self.open_tags and data.strip():
            if self.open_tags[-1] in ("h2", "h3"):
                self.headings.append(data)
            elif self.open_tags[-1] == "h4":
                self.cases.setdefault(self.headings[-1], []).append(data)

    def handle_endtag(self, tag):
        while self.open_tags and self.open_tags.pop() != tag:
            pass


@pytest.fixture
def read_page() -> Callable[[str], Page]:
    return Page


@pytest.fixture
def is_one_file() -> Callable[[Path], None]:
    """Makes sure that the page in a folder loads nothing, runs nothing, and that links within it lead somewhere."""

    def is_one_file(folder: Path) -> None:
        html = (folder / "report.html").read_text("utf-8")
        page = Page(html)
        assert page.loaded
        assert all(value.startswith(("data:", "#")) for value in page.loaded)
        assert "script" not in page.tags
        assert "http" not in html
        assert not re.search(r"@import|url\((?!#)", html)
        ids = re.findall(r'\sid="([^"]+)"', html)
        assert ids
        assert len(ids) == len(set(ids))
        assert set(re.findall(r'(?:href="|url\()#([^")]+)', html)) <= set(ids)
        assert sorted(os.listdir(folder)) == ["metrics.json", "report.html"]

    return is_one_file
