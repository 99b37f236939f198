"""Study: what blocks of cards, and fraudsters' reactions, are worth: twin runs of the line, seed by seed.

Every seed has one history and one model, and a run for each variant: of the whole line, or of the
fast-forward, which gives weeks of event time. The differences are paired over seeds; the intervals are
Student's t.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from model.artefact.files import current_versions
from model.artefact.manifest import Versions
from producers.ledger.comparison import Comparison, Difference, compare
from producers.ledger.ledger import Ledger
from runner.ledger.run_ledger import run_ledger
from studies.report import Cell, Grid, Page, make_folder, spaced, write_report

BASE: Final = "base"


@dataclass(frozen=True)
class Variant:
    """In what a run differs from the base, where cards are blocked and campaigns react."""

    variables: Mapping[str, str]
    reacting: bool = True


VARIANTS: Final[Mapping[str, Variant]] = {
    "no blocks": Variant({"FRAUDSIM_CONSEQUENCES__BLOCK_HOURS": "0"}),
    "no reactions": Variant({}, reacting=False),
    "blocks of 3 days": Variant({"FRAUDSIM_CONSEQUENCES__BLOCK_HOURS": "72"}),
}


@dataclass(frozen=True)
class TwinPlan:
    """The seeds, and what each run of the line is like."""

    seeds: Sequence[int]
    seconds: float
    rate: float
    cards: int
    history_days: int
    days: int | None = None
    """Days of event time by the fast-forward, instead of a live line's seconds."""

    @property
    def length(self) -> str:
        """How long each run is, in words."""
        if self.days is not None:
            return f"{self.days} days in the fast-forward"
        return f"{self.seconds:g} s at {self.rate:g} payments a second"


class Paired(msgspec.Struct, frozen=True, kw_only=True):
    """A variant less the base, in cents per 1,000 cards and week; intervals are 95 %."""

    net_loss: Difference
    parts: dict[str, Difference]
    fraud_paid_by_typology: dict[str, Difference]


class TwinRuns(msgspec.Struct, frozen=True, kw_only=True):
    """`twin_runs.json`."""

    seeds: list[int]
    length: str
    cards: int
    net_loss_by_seed: dict[str, list[int]]
    """Cents per 1,000 cards and week, by variant and `base`."""
    differences: dict[str, Paired]
    versions: Versions


def study(
    out_dir: Path, settings: Settings, plan: TwinPlan, on_run: Callable[[str], None] = lambda _: None
) -> TwinRuns:
    """Run all runs and write `twin_runs.json` and `twin_runs.md`. `on_run` is called with each run's name.

    Raises:
        FraudsimError: a run failed, or `out_dir` cannot be written.
    """
    make_folder(out_dir)
    run_one = _demo if plan.days is None else _simulate
    ledgers: dict[str, list[Ledger]] = {name: [] for name in (BASE, *VARIANTS)}
    for seed in plan.seeds:
        base = out_dir / f"seed-{seed}" / BASE
        for name, variant in {BASE: Variant({}), **VARIANTS}.items():
            on_run(f"seed {seed}, {name}")
            run_dir = base.with_name(name.replace(" ", "-"))
            run_one(run_dir, seed, plan, variant, base if name != BASE else None)
            ledgers[name].append(run_ledger(run_dir, settings))
    result = TwinRuns(
        seeds=list(plan.seeds),
        length=plan.length,
        cards=plan.cards,
        net_loss_by_seed={name: [run.net_loss_rate for run in runs] for name, runs in ledgers.items()},
        differences={
            name: _paired(compare(list(zip(ledgers[BASE], ledgers[name], strict=True)))) for name in VARIANTS
        },
        versions=current_versions(),
    )
    write_report(out_dir, "twin_runs", result, page_of(result))
    return result


def _demo(run_dir: Path, seed: int, plan: TwinPlan, variant: Variant, twin: Path | None) -> None:
    options = {
        "--out": run_dir, "--seed": seed, "--seconds": plan.seconds, "--rate": plan.rate,
        "--cards": plan.cards, "--history-days": plan.history_days,
    }  # fmt: skip
    argv = ["demo", *(["--reacting"] if variant.reacting else []), *_words(options)]
    if twin is not None:
        argv += ["--reuse", str(twin)]
    _run(run_dir, argv, variant)


def _simulate(run_dir: Path, seed: int, plan: TwinPlan, variant: Variant, twin: Path | None) -> None:
    history = run_dir.with_name("history")
    if twin is None:
        world = {
            "--out": history, "--seed": seed, "--cards": plan.cards, "--days": plan.history_days,
        }  # fmt: skip
        _run(history, ["world", "generate", *_words(world)], variant)
    options = {"--history": history, "--out": run_dir, "--days": plan.days}
    argv = ["simulate", *(["--reacting"] if variant.reacting else []), "--no-vectors", *_words(options)]
    if twin is not None:
        argv += ["--model", str(twin / "model")]
    _run(run_dir, argv, variant)


def _words(options: Mapping[str, object]) -> list[str]:
    return [str(word) for option in options.items() for word in option]


def _run(run_dir: Path, words: Sequence[str], variant: Variant) -> None:
    """Run a command of ours, with its output in a file beside `run_dir`."""
    run_dir.parent.mkdir(parents=True, exist_ok=True)
    log_path = run_dir.with_name(f"{run_dir.name}.log")
    with log_path.open("wb") as log:
        code = subprocess.run(
            [sys.executable, "-m", "fraudsim", *words],
            env={**os.environ, **variant.variables},
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    if code:
        raise FraudsimError(f"study twin-runs: the run {run_dir} ended with {code}; see {log_path}")


def _paired(comparison: Comparison) -> Paired:
    return Paired(
        net_loss=comparison.net_loss,
        parts=comparison.parts,
        fraud_paid_by_typology=comparison.fraud_paid_by_typology,
    )


def page_of(result: TwinRuns) -> Page:
    """The study as a page: a row for each kind of cost and typology, a column for each variant."""
    columns = list(result.differences.values())
    rows = [[Cell("net loss"), *(Cell(item.net_loss.text) for item in columns)]]
    for part in columns[0].parts:
        rows.append([Cell(part), *(Cell(item.parts[part].text) for item in columns)])
    typologies = sorted({name for item in columns for name in item.fraud_paid_by_typology})
    for name in typologies:
        cells = [
            item.fraud_paid_by_typology[name].text if name in item.fraud_paid_by_typology else "0"
            for item in columns
        ]
        rows.append([Cell(f"paid: {spaced(name)}"), *map(Cell, cells)])
    losses = ", ".join(
        f"{name} {sum(values) / len(values) / 100:,.0f}" for name, values in result.net_loss_by_seed.items()
    )
    return Page(
        "What blocks and reactions are worth",
        f"{len(result.seeds)} seeds, {result.cards:,} cards, {result.length}. Mean net loss per 1,000 cards "
        f"and week: {losses}. Below: the variant less the base, paired over seeds, with 95 % intervals.",
        Grid(["per 1,000 cards and week", *result.differences], rows),
    )
