"""Figures as text."""

from model.artefact.thresholds import NEVER, Thresholds


def figure(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def cost_text(share: float | None) -> str:
    """A cost, given as a share of that of approving everything."""
    return "undefined" if share is None else f"{percent(share)} of that of approving everything"


def threshold_rows(thresholds: Thresholds) -> dict[str, str]:
    """A row for each action; "never" where a stricter action begins at the same score."""
    return {
        "step up from": _cut_off_text(thresholds.step_up, thresholds.review),
        "review from": _cut_off_text(thresholds.review, thresholds.decline),
        "decline from": _cut_off_text(thresholds.decline, NEVER),
    }


def _cut_off_text(cut_off: float, stricter: float) -> str:
    return "never" if cut_off >= stricter else f"{cut_off:.4f}"
