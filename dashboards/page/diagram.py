"""The line as a diagram: boxes for its parts and arrows with rates, in a wide and in a tall form. Pure."""

from html import escape
from typing import Final, NamedTuple

from dashboards.page.figures import Figure

LINE_PX: Final = 17
DESCRIBED: Final = (
    "Transactions and labels go to the Kafka log; worker, scorer and archiver read it; the worker keeps the "
    "state in Redis, which the scorer reads; decisions go back to the log."
)


class _Box(NamedTuple):
    name: str
    title: str
    x: int
    y: int
    width: int
    lines: tuple[str, ...]
    """With {figures} in braces."""

    @property
    def height(self) -> int:
        return 20 + LINE_PX * (1 + len(self.lines))


class _Arrow(NamedTuple):
    points: tuple[tuple[int, int], ...]
    label: str
    label_at: tuple[int, int]
    anchor: str = "middle"


class _Layout(NamedTuple):
    name: str
    width: int
    height: int
    boxes: tuple[_Box, ...]
    arrows: tuple[_Arrow, ...]


def _part(name: str, title: str, x: int, y: int, width: int, *, lag: bool = True) -> _Box:
    measures = f"CPU {{{name}_cpu}}" + (f"  lag {{{name}_lag}}" if lag else "")
    return _Box(name, title, x, y, width, (f"{{{name}_status}}", measures, f"restarts {{{name}_restarts}}"))


_KAFKA: Final = ("{kafka_status}", "{sent} sent", "{decided} decided", "{waiting} wait")
_IN_ONE_LINE: Final = ("{kafka_status}", "{sent} sent  {decided} decided  {waiting} wait")
WIDE: Final = _Layout(
    "wide", 1000, 330,
    (
        _part("producer", "Producer", 12, 24, 170, lag=False),
        _part("labels", "Label feed", 12, 196, 170, lag=False),
        _Box("kafka", "Kafka log", 292, 104, 160, _KAFKA),
        _part("worker", "Feature worker", 582, 12, 176),
        _part("scorer", "Scorer", 582, 122, 176),
        _part("archiver", "Archiver", 582, 232, 176),
        _Box("redis", "Redis state", 858, 62, 130, ("{redis_status}", "{staleness_ms} ms old")),
    ),
    (
        _Arrow(((182, 68), (372, 68), (372, 104)), "{producer_rate}/s", (272, 60)),
        _Arrow(((182, 240), (372, 240), (372, 209)), "{labels_rate} labels/s", (272, 258)),
        _Arrow(((452, 130), (500, 130), (500, 56), (582, 56)), "{worker_rate}/s", (538, 48)),
        _Arrow(((452, 146), (582, 146)), "", (0, 0)),
        _Arrow(((582, 176), (452, 176)), "{rate}/s", (517, 168)),
        _Arrow(((452, 194), (500, 194), (500, 276), (582, 276)), "everything", (541, 268)),
        _Arrow(((758, 56), (808, 56), (808, 84), (858, 84)), "state", (808, 48)),
        _Arrow(((858, 112), (808, 112), (808, 160), (758, 160)), "reads", (812, 176)),
    ),
)  # fmt: skip
TALL: Final = _Layout(
    "tall", 360, 560,
    (
        _part("producer", "Producer", 4, 4, 168, lag=False),
        _part("labels", "Label feed", 188, 4, 168, lag=False),
        _Box("kafka", "Kafka log", 4, 146, 352, _IN_ONE_LINE),
        _part("worker", "Feature worker", 4, 272, 168),
        _part("scorer", "Scorer", 188, 272, 150),
        _Box("redis", "Redis state", 4, 414, 168, ("{redis_status}", "{staleness_ms} ms old")),
        _part("archiver", "Archiver", 188, 440, 150),
    ),
    (
        _Arrow(((88, 92), (88, 146)), "{producer_rate}/s", (96, 124), "start"),
        _Arrow(((272, 92), (272, 146)), "{labels_rate} labels/s", (280, 124), "start"),
        _Arrow(((60, 217), (60, 272)), "{worker_rate}/s", (68, 250), "start"),
        _Arrow(((250, 217), (250, 272)), "", (0, 0)),
        _Arrow(((280, 272), (280, 217)), "{rate}/s", (288, 250), "start"),
        _Arrow(((60, 360), (60, 414)), "state", (68, 392), "start"),
        _Arrow(((130, 414), (130, 388), (220, 388), (220, 360)), "reads", (150, 404), "start"),
        _Arrow(((350, 217), (350, 484), (338, 484)), "", (0, 0)),
    ),
)  # fmt: skip


def drawing(layout: _Layout, figures: dict[str, Figure], boxes: dict[str, str]) -> str:
    """The diagram as SVG, with figures as served; the browser goes on with their `data-figure`."""
    head = (
        f'<svg class="diagram {layout.name}" viewBox="0 0 {layout.width} {layout.height}" role="group" '
        f'aria-label="{DESCRIBED}">'
    )
    marker = f"tip-{layout.name}"
    tip = (
        f'<defs><marker id="{marker}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto-start-reverse"><path d="M0 0 8 4 0 8z" class="tip"/></marker></defs>'
    )
    arrows = [_arrow(arrow, marker, figures) for arrow in layout.arrows]
    return "".join([head, tip, *arrows, *(_box(box, figures, boxes) for box in layout.boxes), "</svg>"])


def _arrow(arrow: _Arrow, marker: str, figures: dict[str, Figure]) -> str:
    points = " ".join(f"{x},{y}" for x, y in arrow.points)
    line = f'<polyline class="arrow" points="{points}" marker-end="url(#{marker})"/>'
    if not arrow.label:
        return line
    x, y = arrow.label_at
    label = _text(arrow.label, figures)
    return line + f'<text class="rate" x="{x}" y="{y}" text-anchor="{arrow.anchor}">{label}</text>'


def _box(box: _Box, figures: dict[str, Figure], boxes: dict[str, str]) -> str:
    status = escape(boxes.get(box.name, "absent"))
    parts = [
        f'<g class="box" data-box="{box.name}" data-status="{status}">',
        f'<rect x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" rx="6"/>',
        f'<text class="title" x="{box.x + 12}" y="{box.y + 22}">{escape(box.title)}</text>',
    ]
    for index, line in enumerate(box.lines):
        y = box.y + 22 + LINE_PX * (index + 1)
        parts.append(f'<text x="{box.x + 12}" y="{y}">{_text(line, figures)}</text>')
    return "".join([*parts, "</g>"])


def _text(line: str, figures: dict[str, Figure]) -> str:
    """A line with each {name} as a figure."""
    out = []
    for index, piece in enumerate(line.replace("}", "{").split("{")):
        if index % 2:
            out.append(f'<tspan data-figure="{piece}">{escape(figures[piece][1])}</tspan>')
        else:
            out.append(escape(piece).replace("  ", " \u00a0"))
    return "".join(out)
