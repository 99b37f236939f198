"""Figures for every cell of a study, drawn at random with known effects: to try what a study says of them."""

from typing import Any, TypeVar

import msgspec
import numpy as np

from studies.comparison.figures import MeasuredLine
from studies.frame.cell_plan import CellPlan, StudyCell
from studies.frame.line_figures import LineFigures, TypologyFigures

T = TypeVar("T", bound=msgspec.Struct)


def line_figures(net_loss: int, flagged: int = 20) -> LineFigures:
    """A run that lost so much; the rest is made up."""
    typology = _whole(
        TypologyFigures, campaigns=40, payments=200, at_stake_cents=1_000_000, paid_cents=400_000,
        first_caught=10, stopped=30, stop_minutes=12.0,
    )  # fmt: skip
    return _whole(
        LineFigures, decisions=1_000, net_loss_rate=net_loss, parts={"fraud paid": net_loss}, insults=12,
        review_minutes=60.0, flagged=flagged, typologies={"card_testing": typology, "leaked_card": typology},
        spans={"card_testing": (20.0, 2.0), "leaked_card": (600.0, 90.0)}, staleness_parts=[],
    )  # fmt: skip


def _whole(kind: type[T], **known: Any) -> T:
    """A struct with 1,000 wherever nothing is known."""
    return kind(**{name: known.get(name, 1_000) for name in kind.__struct_fields__})


def made_up(
    plan: CellPlan[MeasuredLine], seeds: list[int], effects: dict[str, int], measures: dict[str, float]
) -> dict[StudyCell, MeasuredLine]:
    """Runs in which an arm loses 100,000 cents, a world's share and its effect."""
    runs = {}
    for seed in seeds:
        world = int(np.random.default_rng(seed).normal(0, 20_000))
        for arm, condition in plan.pairs():
            noise = int(np.random.default_rng([seed, len(arm)]).normal(0, 500))
            loss = 1_000_000 + world + noise + effects.get(arm, 0)
            acted = list(range(seed, seed + 10 + len(arm)))
            runs[StudyCell(arm, condition, seed)] = MeasuredLine(
                line=line_figures(loss), measures=measures, acted=acted
            )
    return runs
