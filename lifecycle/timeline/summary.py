"""A timeline in lines of text."""

from collections.abc import Iterator
from typing import Final

from dashboards.drift.decided_weeks import WEEK_MS
from lifecycle.timeline.result import MarkKind, Timeline

SHOWN: Final[tuple[MarkKind, ...]] = (
    "change", "alarm", "retraining", "rejected", "failed", "shadow", "dropped", "promotion",
)  # fmt: skip


def summary_lines(timeline: Timeline) -> Iterator[str]:
    """What happened when, and what it came to."""
    for kind in SHOWN:
        marks = [mark for mark in timeline.marks if mark.kind == kind]
        if marks:
            at = (marks[0].at_ms - timeline.start_ms) / WEEK_MS
            others = f" ({len(marks) - 1} more)" if len(marks) > 1 else ""
            yield f"{kind:<11} week {at:5.1f}  {marks[0].text}{others}"
    change, promotion = timeline.first("change"), timeline.first("promotion")
    if change is None or promotion is None:
        return
    end_ms = timeline.weeks[-1].start_ms + WEEK_MS
    spans = {
        "before the change": (timeline.start_ms, change.at_ms),
        "until the promotion": (change.at_ms, promotion.at_ms),
        "after it": (promotion.at_ms, end_ms),
    }
    for name, (from_ms, until_ms) in spans.items():
        mean = timeline.mean_net_loss(from_ms, until_ms)
        text = "no whole week" if mean is None else f"{mean / 100:,.0f} per 1,000 cards and week"
        yield f"net loss {name}: {text}"
