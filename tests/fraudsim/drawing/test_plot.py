"""Plots: scales and ticks, marks inside the plot, and two themes in one text."""

import math
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from fraudsim.drawing import themes
from fraudsim.drawing.plot import Plot, Tones, panels
from fraudsim.drawing.scales import LinearScale, LogScale, linear_ticks, log_ticks, nice_step, round_up


def named(element: ElementTree.Element, tag: str) -> list[ElementTree.Element]:
    return element.findall(f".//{{http://www.w3.org/2000/svg}}{tag}")


def drawn(plot: Plot) -> ElementTree.Element:
    return ElementTree.fromstring(plot.render())


@pytest.mark.parametrize("high", [0.0031, 0.47, 3, 17, 99, 100, 4321, 64_000])
def test_linear_ticks_are_round_and_within(high: float) -> None:
    ticks = linear_ticks(0, high)
    assert 2 <= len(ticks) <= 6
    assert ticks[0][0] == 0
    assert ticks[-1][0] <= high * (1 + 1e-9)
    assert len({label for _, label in ticks}) == len(ticks)
    assert round_up(high) >= high * (1 - 1e-9)
    assert linear_ticks(0, round_up(high))[-1][0] == pytest.approx(round_up(high))


def test_a_step_is_one_two_or_five_times_a_power_of_ten() -> None:
    assert [nice_step(span, 5) for span in (1, 3, 7, 10, 26, 60)] == [0.2, 1, 2, 2, 10, 20]


def test_log_ticks_are_powers_of_ten_or_finer_where_those_are_few() -> None:
    assert [v for v, _ in log_ticks(0.5, 20_000)] == [1, 10, 100, 1000, 10_000]
    assert [v for v, _ in log_ticks(5, 60)] == [5, 10, 20, 50]


def test_scales_map_ends_to_ends() -> None:
    assert [LinearScale(0, 10, 100, 200)(v) for v in (0, 5, 10)] == [100, 150, 200]
    assert [LogScale(1, 100, 0, 10)(v) for v in (0.1, 1, 10, 100)] == pytest.approx([0, 0, 5, 10])


def test_words_are_escaped() -> None:
    plot = Plot("a < b", 'x & "y"')
    plot.text(1, 1, "<script>")
    drawn = plot.render()
    assert "<script>" not in drawn
    assert ElementTree.fromstring(drawn)[0].text == "a < b"


def test_tick_labels_never_overlap() -> None:
    plot = Plot("t", "d", width=200)
    scale = plot.x_scale(0, 50)
    plot.x_axis(scale, [(i, f"label {i}") for i in range(51)], "x")
    assert len(named(ElementTree.fromstring(plot.render()), "text")) < 6


@pytest.mark.parametrize(("low", "high"), [(41.0, 43.0), (11.0, 19.0), (1.1, 1.9), (2.0, 2.0), (0.03, 9e6)])
def test_a_log_axis_is_never_without_ticks(low: float, high: float) -> None:
    ticks = log_ticks(low, high)
    assert len(ticks) >= (2 if high > low else 1)
    assert all(low * 0.999 <= value <= high * 1.001 for value, _ in ticks)


@pytest.mark.parametrize(("low", "high"), [(0.0, 10.0), (-1.0, 10.0), (10.0, 1.0), (math.nan, 1.0)])
def test_a_log_scale_needs_values_above_nothing(low: float, high: float) -> None:
    with pytest.raises(ValueError, match=r"logarithmic scale from .* needs 0 < low <= high"):
        LogScale(low, high, 0, 1)


def test_a_heat_map_has_a_cell_for_each_value_that_is_there() -> None:
    plot = Plot("t", "d")
    x, y = plot.x_scale(0, 3), plot.y_scale(1, 100, log=True)
    values = [[1.0, 10.0, math.nan], [100.0, 1000.0, 0.0]]
    plot.heat_map(([0, 1, 2, 3], [1, 10, 100]), values, x, y, Tones(1, 100, log=True, unit=" ms"))
    cells = named(drawn(plot), "rect")
    assert [cell[0].text for cell in cells] == ["1 ms", "10 ms", "100 ms", "1000 ms", "0 ms"]
    middle = themes.RAMP[len(themes.RAMP) // 2]
    assert [cell.attrib["fill"] for cell in cells] == [
        themes.RAMP[0], middle, themes.RAMP[-1], themes.RAMP[-1], themes.RAMP[0]
    ]  # fmt: skip
    first, second, above = cells[0].attrib, cells[1].attrib, cells[2].attrib
    assert float(first["x"]) == x(0)
    assert float(second["x"]) == pytest.approx(x(1), abs=0.06)
    assert float(above["y"]) == plot.top
    assert float(first["y"]) + float(first["height"]) == pytest.approx(y(1), abs=0.6)


def test_a_heat_map_of_the_wrong_shape_is_an_error() -> None:
    plot = Plot("t", "d")
    with pytest.raises(ValueError, match=r"shorter|longer"):
        plot.heat_map(([0, 1], [0, 1]), [[1.0, 2.0]], plot.x_scale(0, 1), plot.y_scale(0, 1), Tones(0, 1))


def test_the_legend_of_a_heat_map_shows_every_tone_and_both_ends() -> None:
    plot = Plot("t", "d", top=30)
    plot.tone_legend(Tones(0.5, 99, unit=" %"))
    svg = drawn(plot)
    assert [cell.attrib["fill"] for cell in named(svg, "rect")] == list(reversed(themes.RAMP))
    assert {text.text for text in named(svg, "text")} == {"0.5 %", "99 %"}
    assert all(0 <= float(cell.attrib["x"]) < plot.width for cell in named(svg, "rect"))


def test_an_interval_reaches_from_low_to_high_with_caps() -> None:
    plot = Plot("t", "d")
    plot.interval(50, 120.0, 80.5, themes.FRAUD, "0.1 to 0.3")
    path = named(drawn(plot), "path")[0]
    assert path.attrib["d"] == "M46.0 120.0h8M46.0 80.5h8M50.0 120.0V80.5"
    assert path[0].text == "0.1 to 0.3"


def test_a_band_goes_there_along_the_high_line_and_back_along_the_low_one() -> None:
    plot = Plot("t", "d")
    x, y = LinearScale(0, 1, 0, 10), LinearScale(0, 1, 10, 0)
    plot.band([0, 1], [0.0, 0.5], [1.0, 0.8], x, y, themes.HONEST)
    assert named(drawn(plot), "polygon")[0].attrib["points"] == "0.0,0.0 10.0,2.0 10.0,5.0 0.0,10.0"


def test_panels_stand_side_by_side_in_one_text_with_both_themes() -> None:
    svg = panels([Plot(f"plot {i}", "d", 100, 50) for i in range(4)], columns=3)
    outer = ElementTree.fromstring(svg)
    assert outer.attrib["viewBox"] == "0 0 300 100"
    positions = [(s.attrib["x"], s.attrib["y"]) for s in named(outer, "svg")]
    assert positions == [("0", "0"), ("100", "0"), ("200", "0"), ("0", "50")]
    assert svg.count("prefers-color-scheme:dark") == 1
    assert f'[fill="{themes.PAPER}"]{{fill:{themes.DARK[themes.PAPER]}}}' in svg
    assert svg.count("http") == svg.count("http://www.w3.org/2000/svg") == 5


def luminance(colour: str) -> float:
    """The relative luminance of the Web Content Accessibility Guidelines."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    "theme", [{colour: colour for colour in themes.DARK}, themes.DARK], ids=["light", "dark"]
)
def test_words_and_marks_are_seen_on_the_paper_of_either_theme(theme: dict[str, str]) -> None:
    paper = theme[themes.PAPER]
    assert min(contrast(theme[colour], paper) for colour in (themes.INK, themes.QUIET)) >= 4.5
    assert min(contrast(theme[colour], paper) for colour in (themes.HONEST, themes.FRAUD)) >= 3
    assert min(contrast(theme[colour], paper) for colour in themes.PALETTE) >= 2
    steps = [contrast(theme[tone], paper) for tone in themes.RAMP]
    assert steps == sorted(steps)
    assert min(b / a for a, b in pairwise(steps)) > 1.1


def test_every_colour_has_a_dark_one_and_no_two_share_it() -> None:
    colours = {themes.PAPER, themes.INK, themes.QUIET, themes.GRID, themes.HONEST, themes.FRAUD}
    assert set(themes.DARK) == colours | set(themes.PALETTE) | set(themes.RAMP)
    assert len(set(themes.DARK.values())) == len(themes.DARK)
