"""Runs the study: cells in several processes, each kept when it is done; then the result."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from fraudsim.whole_files import write_whole
from model.artefact.files import current_versions
from model.artefact.manifest import Versions
from producers.history.worker_pool import WorkerPool
from producers.ledger.comparison import Difference, difference_of
from simulator.regimes import span
from studies.freshness.plan import FRESH, NULL, SPREAD_OF, StudyCell, StudyPlan, Twin, code_fingerprint
from studies.freshness.run_cell import CellFigures, run_cell
from studies.freshness.statistics import (
    ArmCell,
    Curve,
    Knee,
    TypologyCell,
    arm_cells,
    common_curve,
    knees,
    planted_difference,
    typology_cells,
)

PLANTED: Final = 0.05
"""The effect that is planted, as a share of the net loss with fresh features."""


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """What the study finds where the answer is known; cents per 1,000 cards and week."""

    tempo: float
    null: Difference
    """Two fits of one regime: no effect."""
    planted: float
    observed: Difference
    """With `planted` added to one of them."""


class Sawtooth(msgspec.Struct, frozen=True, kw_only=True):
    """A job against constant delays of the same distribution; negative: the job loses less."""

    tempo: float
    period: str
    difference: Difference


class FreshnessResult(msgspec.Struct, frozen=True, kw_only=True):
    """`result.json`."""

    plan: str
    seeds: list[int]
    tempos: list[float]
    cards: int
    days: int
    history_days: int
    fraud_scale: float
    staleness_minutes: dict[str, float]
    """Mean staleness of every arm with a job or without one that is a sawtooth."""
    arms: list[ArmCell]
    typologies: list[TypologyCell]
    knees: list[Knee]
    over_duration: Curve
    """Loss over staleness divided by the attack's duration."""
    over_gap: Curve
    """Loss over staleness divided by the time between attempts."""
    controls: list[Control]
    sawtooth: list[Sawtooth]
    code: str
    versions: Versions


Progress = Callable[[int, int], None]
"""Called with the numbers of cells done and to do."""


@dataclass(frozen=True)
class _Task:
    """The cells of one arm and tempo: one process fits its model once."""

    cells: tuple[StudyCell, ...]
    files: tuple[Path, ...]
    """Where the figures of each belong: named before the code can change."""


def study(
    out: Path, plan: StudyPlan, settings: Settings, on_progress: Progress = lambda _, __: None
) -> FreshnessResult:
    """Run what is not there yet, and write `result.json`.

    Raises:
        FraudsimError: the folder cannot be written, a run failed, or the study was interrupted.
    """
    try:
        (out / "cells").mkdir(parents=True, exist_ok=True)
        seeds = list(range(1, plan.seeds + 1))
        while True:
            runs = _runs(out, plan, settings, seeds, on_progress)
            if len(seeds) >= plan.most_seeds or _narrow_enough(runs, plan, seeds):
                break
            seeds += range(seeds[-1] + 1, min(plan.most_seeds, seeds[-1] + 2) + 1)
        result = result_of(plan, runs, seeds)
        text = msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n"
        write_whole(out / "result.json", text)
    except OSError as error:
        raise FraudsimError(
            f"study {error.filename or out}: {error.strerror or error}; what is done is kept: make room and "
            "give the same command again"
        ) from None
    except KeyboardInterrupt:
        raise FraudsimError(
            f"study freshness: interrupted; {out}/cells keeps what is done, the same command goes on"
        ) from None
    return result


def _runs(
    out: Path, plan: StudyPlan, settings: Settings, seeds: Sequence[int], on_progress: Progress
) -> dict[tuple[str, float, int], CellFigures]:
    """The figures of every cell, from their files or by running them."""
    runs: dict[tuple[str, float, int], CellFigures] = {}
    missing: dict[tuple[Twin, float], list[int]] = {}
    for tempo in plan.tempos:
        for arm in plan.arms():
            for seed in seeds:
                figures = _read(out, StudyCell(arm, seed, tempo), plan, settings)
                if figures is None:
                    missing.setdefault((arm, tempo), []).append(seed)
                else:
                    runs[arm.name, tempo, seed] = figures
    to_do = len(plan.tempos) * len(plan.arms()) * len(seeds)
    on_progress(len(runs), to_do)
    tasks = []
    for (arm, tempo), numbers in missing.items():
        cells = tuple(StudyCell(arm, seed, tempo) for seed in numbers)
        tasks.append(_Task(cells, tuple(_path(out, cell, plan, settings) for cell in cells)))
    if not tasks:
        return runs
    scratch = out / "worlds"
    for tempo in plan.tempos:  # worlds are shared: made before the processes that read them
        _make_worlds(scratch, plan, settings, tempo, seeds)
    pool = WorkerPool(
        min(len(tasks), os.cpu_count() or 1), "study freshness", "the same command goes on from there"
    )
    try:
        arguments = [(task, plan, settings, scratch) for task in tasks]
        for finished in pool.in_order(_run_task, arguments, len(tasks)):
            runs.update(finished)
            on_progress(len(runs), to_do)
    finally:
        pool.close()
    return runs


def _make_worlds(
    scratch: Path, plan: StudyPlan, settings: Settings, tempo: float, seeds: Sequence[int]
) -> None:
    from studies.freshness.run_cell import TRAINING_SEED, world_folder

    for seed in (TRAINING_SEED, *seeds):
        world_folder(scratch, plan, settings, seed, tempo)


def _run_task(
    task: _Task, plan: StudyPlan, settings: Settings, worlds: Path
) -> list[tuple[tuple[str, float, int], CellFigures]]:
    done = []
    for cell, path in zip(task.cells, task.files, strict=True):
        figures = run_cell(cell, plan, settings, worlds)
        write_whole(path, msgspec.json.encode(figures))
        done.append(((cell.arm.name, cell.tempo, cell.seed), figures))
    return done


def _path(out: Path, cell: StudyCell, plan: StudyPlan, settings: Settings) -> Path:
    return out / "cells" / cell.file_name(plan, settings)


def _read(out: Path, cell: StudyCell, plan: StudyPlan, settings: Settings) -> CellFigures | None:
    try:
        return msgspec.json.decode(_path(out, cell, plan, settings).read_bytes(), type=CellFigures)
    except (OSError, msgspec.DecodeError):
        return None


def _narrow_enough(
    runs: dict[tuple[str, float, int], CellFigures], plan: StudyPlan, seeds: Sequence[int]
) -> bool:
    """Whether the interval of the stalest job's net loss is narrow at every tempo."""
    stalest = f"job every {span(max(plan.periods_ms))}"
    for tempo in plan.tempos:
        fresh = [runs[FRESH, tempo, seed].net_loss_rate for seed in seeds]
        observed = difference_of(
            [runs[stalest, tempo, seed].net_loss_rate - base for seed, base in zip(seeds, fresh, strict=True)]
        )
        if observed.low is None or observed.high is None:
            return False
        if (observed.high - observed.low) / 2 > plan.width * sum(fresh) / len(fresh):
            return False
    return True


def result_of(
    plan: StudyPlan, runs: dict[tuple[str, float, int], CellFigures], seeds: Sequence[int]
) -> FreshnessResult:
    """The study's figures from its runs."""
    arms = plan.arms()
    names, tempos = [arm.name for arm in arms], list(plan.tempos)
    staleness = {f"job every {span(period)}": period / 2 / 60_000 for period in plan.periods_ms}
    typologies = typology_cells(runs, names, tempos, seeds, FRESH)
    points = [
        cell
        for cell in typologies
        if cell.arm in staleness and not cell.hatched and cell.duration_minutes > 0
    ]
    weights = [float(cell.campaigns) for cell in points]
    losses = [cell.lost.mean for cell in points]
    return FreshnessResult(
        plan=plan.name,
        seeds=list(seeds),
        tempos=tempos,
        cards=plan.cards,
        days=plan.days,
        history_days=plan.history_days,
        fraud_scale=plan.fraud_scale,
        staleness_minutes=staleness,
        arms=arm_cells(runs, names, tempos, seeds, FRESH, plan.days),
        typologies=typologies,
        knees=knees(typologies, staleness),
        over_duration=common_curve([staleness[c.arm] / c.duration_minutes for c in points], losses, weights),
        over_gap=common_curve([staleness[c.arm] / max(c.gap_minutes, 0.01) for c in points], losses, weights),
        controls=[_control(runs, tempo, seeds) for tempo in tempos],
        sawtooth=[_sawtooth(runs, tempo, seeds, arms) for tempo in tempos] if plan.spread else [],
        code=code_fingerprint(),
        versions=current_versions(),
    )


def _control(runs: dict[tuple[str, float, int], CellFigures], tempo: float, seeds: Sequence[int]) -> Control:
    fresh = [runs[FRESH, tempo, seed].net_loss_rate for seed in seeds]
    differences = [
        runs[NULL, tempo, seed].net_loss_rate - base for seed, base in zip(seeds, fresh, strict=True)
    ]
    planted = PLANTED * sum(fresh) / len(fresh)
    return Control(
        tempo=tempo,
        null=difference_of(differences),
        planted=planted,
        observed=planted_difference(differences, planted),
    )


def _sawtooth(
    runs: dict[tuple[str, float, int], CellFigures], tempo: float, seeds: Sequence[int], arms: Sequence[Twin]
) -> Sawtooth:
    delays = [arm.name for arm in arms if arm.name.startswith("delay ")]
    job = f"job every {span(SPREAD_OF)}"
    return Sawtooth(
        tempo=tempo,
        period=span(SPREAD_OF),
        difference=difference_of(
            [
                runs[job, tempo, seed].net_loss_rate
                - sum(runs[name, tempo, seed].net_loss_rate for name in delays) / len(delays)
                for seed in seeds
            ]
        ),
    )
