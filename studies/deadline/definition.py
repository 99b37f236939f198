"""The study of deadlines: its cells, and what it says."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from itertools import pairwise
from typing import Final

import numpy as np

from studies.comparison.definition import ComparisonPlan, ComparisonResult, Story, comparison_study
from studies.comparison.figures import MeasuredLine, MeasuredRuns, effect_of
from studies.comparison.page import effect_text, money, money_difference
from studies.deadline.cell import run_cell
from studies.deadline.plan import (
    FULL,
    NULL,
    QUICK,
    TWINS,
    WHOLE,
    DeadlinePlan,
    load_name,
    refused_name,
    share_name,
)
from studies.frame.cell_plan import CellPlan, Size
from studies.frame.definition import StudyDefinition
from studies.frame.page import StudyTable
from studies.report import Cell, Grid

QUESTION: Final = "How many decisions are degraded by load and deadline, and what do they let through?"
MODULES: Final = (
    "studies/deadline/cell.py", "studies/deadline/plan.py", "studies/deadline/live_line.py",
    "studies/deadline/degraded_scoring.py", "studies/comparison/figures.py",
)  # fmt: skip


def study_of(size: Size) -> StudyDefinition[MeasuredLine, ComparisonResult]:
    """The study of one size."""
    return study_by(FULL if size == "full" else QUICK, size)


def study_by(plan: DeadlinePlan, size: Size) -> StudyDefinition[MeasuredLine, ComparisonResult]:
    """The study of a plan."""
    cells = CellPlan(
        study="deadline", arms={name: asdict(arm) for name, arm in plan.twins().items()},
        conditions={TWINS: asdict(plan.load)}, sizes=asdict(plan.spec), seeds=plan.seeds,
        most_seeds=plan.most_seeds, run=partial(run_cell, plan), figures=MeasuredLine, modules=MODULES,
    )  # fmt: skip
    comparison = ComparisonPlan(
        cells=cells, spec=plan.spec, base=WHOLE, null=NULL, contrasts=plan.contrasts(), width=0.15,
        derived=partial(spread_of_loads, plan),
    )  # fmt: skip
    return comparison_study(size, comparison, Loads(plan).story)


def spread_of_loads(
    plan: DeadlinePlan, runs: MeasuredRuns, arm: str, condition: str, seeds: Sequence[int]
) -> dict[str, float]:
    """Least and most of each load's degraded share over the lines (`least …`, `most …`)."""
    shares: dict[str, float] = {}
    for deadline_ms in plan.load.deadlines_ms:
        for rate in plan.load.rates:
            name = load_name(deadline_ms, rate)
            all_measures = [runs[arm, condition, seed].measures for seed in seeds]
            values = [measures[name] for measures in all_measures if name in measures]
            if values:
                shares |= {f"least {name}": min(values), f"most {name}": max(values)}
    return shares


class Loads:
    """Degraded shares and their price, and how that reads."""

    def __init__(self, plan: DeadlinePlan) -> None:
        self._plan = plan

    @property
    def story(self) -> Story:
        """What the study says."""
        load = self._plan.load
        lines = "a line" if load.lines == 1 else f"{load.lines} lines"
        return Story(
            question=QUESTION, answer=self.answer,
            set_up=(
                f"Live: {lines} of its own (Kafka, Redis, Faust, the scorer) on this machine, loaded for "
                f"{load.seconds:g} s at each rate over HTTP by Poisson arrivals; the generator shares "
                "the cores. A decision is degraded where the state has not been read in time: it sees the "
                "request alone, by the fallback model. Twins: a share of the decisions, drawn by their ids, "
                "is degraded."
            ),
            limits=(
                "Degraded shares are those of this machine under this load; whatever else it did meanwhile "
                "is in them.",
                "On a line decisions are degraded together, in a burst, and a burst of load may be the "
                "attack; in the twins they are degraded one by one.",
            ),
            surprises=self.surprises, tables=lambda result: [self.table(result)],
        )  # fmt: skip

    def shares(self, result: ComparisonResult) -> dict[tuple[int, int], tuple[float, float, float]]:
        """By deadline and rate, mean, least and most of the degraded share, percent."""
        measures = next(row for row in result.rows if row.arm == WHOLE).measures
        shares = {}
        for deadline_ms in self._plan.load.deadlines_ms:
            for rate in self._plan.load.rates:
                name = load_name(deadline_ms, rate)
                if name in measures:
                    ends = measures[f"least {name}"], measures[f"most {name}"]
                    shares[deadline_ms, rate] = (measures[name], *ends)
        return shares

    def price(self, result: ComparisonResult, share: float) -> float:
        """What a degraded share costs, cents per 1,000 cards and week: straight lines between the twins."""
        steps = [(0.0, 0.0)] + [
            (100 * degraded, effect_of(result.effects, share_name(degraded)).difference.mean)
            for degraded in self._plan.degraded
        ]
        xs, ys = zip(*steps, strict=True)
        return float(np.interp(share, xs, ys))

    def answer(self, result: ComparisonResult) -> list[str]:
        """In sentences."""
        shares = self.shares(result)
        worst = max(shares, key=lambda key: shares[key][0])
        none = [f"{d} ms at {r:,}/s" for (d, r), share in shares.items() if share[0] < 0.1]
        whole = effect_of(result.effects, share_name(self._plan.degraded[-1])).difference
        base = next(row for row in result.rows if row.arm == WHOLE)
        texts = [
            f"At most, {shares[worst][0]:.1f} % of the decisions are degraded (deadline {worst[0]} ms, "
            f"{worst[1]:,} requests a second), which costs {money(self.price(result, shares[worst][0]))} per "
            f"1,000 cards and week, of a net loss of {money(base.net_loss)}; all decisions degraded cost "
            f"{money_difference(whole)}."
        ]
        if none:
            texts.append(f"Fewer than one in a thousand is degraded with a deadline of {', '.join(none)}.")
        refused = self.refused(result)
        if refused:
            named = ", ".join(f"{rate:,}/s under {deadline_ms} ms" for deadline_ms, rate in refused)
            texts.append(
                f"The load's own check refused {named}: the machine did not keep up with sending, so these "
                "shares are of bunched requests and too high, if anything."
            )
        texts.append(self._by_share(result))
        return texts

    def refused(self, result: ComparisonResult) -> list[tuple[int, int]]:
        """Deadlines and rates of the loads that were refused on any line."""
        measures = next(row for row in result.rows if row.arm == WHOLE).measures
        return [key for key in self.shares(result) if measures.get(refused_name(*key), 0) > 0]

    def _by_share(self, result: ComparisonResult) -> str:
        effects = [(share, effect_of(result.effects, share_name(share))) for share in self._plan.degraded]
        texts = [f"{share:.0%} {effect_text(effect)}" for share, effect in effects]
        return f"By the share that is degraded: {', '.join(texts)}."

    def surprises(self, result: ComparisonResult) -> list[str]:
        """A longer deadline with more degraded, or degraded decisions that cost less."""
        texts = []
        shares = self.shares(result)
        deadlines = self._plan.load.deadlines_ms
        for shorter, longer in pairwise(deadlines):
            for rate in self._plan.load.rates:
                pair = shares.get((shorter, rate)), shares.get((longer, rate))
                if pair[0] and pair[1] and pair[1][0] > pair[0][0] + 1:
                    texts.append(
                        f"At {rate:,}/s a deadline of {longer} ms has more degraded decisions "
                        f"({pair[1][0]:.1f} %) than {shorter} ms ({pair[0][0]:.1f} %): a machine that is not "
                        "idle changes from one load to the next; unexplained beyond that."
                    )
        for effect in result.effects:
            if effect.holds and effect.difference.mean < 0:
                texts.append(f"{effect.name} costs {money_difference(effect.difference)}: unexplained.")
        return texts

    def table(self, result: ComparisonResult) -> StudyTable:
        """Degraded share and price by deadline and rate."""
        refused = self.refused(result)
        rows = [
            [
                Cell(f"{deadline_ms} ms"),
                Cell(f"{rate:,}/s"),
                Cell(f"{mean:.2f}%" + ("*" if (deadline_ms, rate) in refused else "")),
                Cell(f"{least:.2f} to {most:.2f}%"),
                Cell(money(self.price(result, mean))),
            ]
            for (deadline_ms, rate), (mean, least, most) in self.shares(result).items()
        ]
        return StudyTable(
            "Load and deadline",
            "Percent of the decisions that were degraded: mean, least and most over the started lines; what "
            "that share costs per 1,000 cards and week, by straight lines between the twins. *: refused by "
            "the load's own check.",
            Grid(["deadline", "load", "degraded", "range", "cost"], rows),
        )
