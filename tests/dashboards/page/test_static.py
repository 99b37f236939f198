"""The page's files: the vendored ones are what npm has; the own ones set text and load nothing from afar."""

import hashlib
import re

import pytest

from dashboards.page.document import STATIC
from dashboards.page.figures import LOG_FIGURES, part_figures

VENDORED = {
    "uPlot.esm.js": "5dd9b3281aa64b461b42d9945f6adb2649d346502b12281a9ae0d46599a80eba",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    "uPlot.LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
}
"""SHA-256 of files of npm's uplot 1.6.32, as unpacked."""
OWN = sorted(path for path in STATIC.iterdir() if path.is_file())


def test_vendored_files_are_those_of_the_pinned_package():
    folder = STATIC / "vendor"
    assert {path.name for path in folder.iterdir()} == VENDORED.keys()
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    assert hashes == VENDORED
    assert "v1.6.32" in (folder / "uPlot.esm.js").read_text()[:400]
    assert "MIT License" in (folder / "uPlot.LICENSE").read_text()


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_own_files_set_text_and_load_nothing_from_elsewhere(path):
    text = path.read_text()
    assert not re.findall(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text
    )
    assert set(re.findall(r"https?://[^\s\"']+", text)) <= {"http://www.w3.org/2000/svg"}
    imports = re.findall(r'from "([^"]+)"', text)
    assert all((STATIC / name).exists() for name in imports)


def test_every_figure_of_the_document_and_every_element_that_scripts_ask_for_is_there():
    html = (STATIC / "index.html").read_text()
    assert set(re.findall(r'<data data-figure="(\w+)"></data>', html)) <= {*LOG_FIGURES, *part_figures({})}
    assert html.count("data-figure") == len(re.findall(r'<data data-figure="\w+"></data>', html))
    asked = set(re.findall(r'byId\("([\w-]+)"\)', (STATIC / "main.js").read_text()))
    assert len(asked) > 10
    assert not [name for name in asked if f'id="{name}"' not in html]


# Contrast, WCAG 2: (L1 + 0.05) / (L2 + 0.05), of the colours of text on the two grounds.


def luminance(colour):
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_colour_of_text_stands_out_in_both_themes(theme):
    css = (STATIC / "page.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[theme == "dark"]))
    texts = [name for name in colours if name not in ("ground", "panel", "rule")]
    assert len(texts) == 13
    weak = {
        (name, ground): contrast(colours[name], colours[ground])
        for name in texts
        for ground in ("ground", "panel")
    }
    assert not {pair: ratio for pair, ratio in weak.items() if ratio < 4.5}
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
