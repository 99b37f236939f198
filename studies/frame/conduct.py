"""Runs a study: cells in several processes, each kept when it is done; then the result."""

import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import msgspec

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from fraudsim.whole_files import write_whole
from model.artefact.files import current_versions
from producers.history.worker_pool import WorkerPool
from studies.frame.cell_plan import CellPlan, F, StudyCell, code_fingerprint
from studies.frame.definition import Provenance, R, StudyDefinition
from studies.frame.page import StudyReport, write_report_files


class StudyInterruptedError(FraudsimError):
    """Somebody stopped a study; what is done is kept."""


Progress = Callable[[int, int], None]
"""Called with the numbers of cells done and to do."""
SEEDS_ADDED = 2
"""At a time, while intervals are wide."""


@dataclass(frozen=True)
class _Kept(Generic[F]):
    """What is kept of a cell."""

    figures: F
    cpu_s: float
    """Seconds of CPU that it took, with what later cells share of it."""


@dataclass(frozen=True)
class _Group(Generic[F]):
    """Cells that one process runs in a row."""

    plan: CellPlan[F]
    cells: tuple[StudyCell, ...]
    files: tuple[Path, ...]
    """Where the figures of each belong: named before the code can change."""
    settings: Settings
    scratch: Path
    parent: int
    """Process whose end ends the work."""


def conduct(
    study: StudyDefinition[F, R],
    out: Path,
    settings: Settings,
    seeds: int | None = None,
    on_progress: Progress = lambda _, __: None,
) -> R:
    """Run what is not there yet; write `result.json` and the page.

    Args:
        seeds: that many and no more, instead of the plan's.

    Raises:
        FraudsimError: the folder cannot be written, a run failed, or the study was interrupted.
    """
    plan = study.plan
    again = f"{out}/cells keeps what is done, the same command goes on"
    try:
        (out / "cells").mkdir(parents=True, exist_ok=True)
        shutil.rmtree(out / "worlds", ignore_errors=True)
        numbers = list(range(plan.first_seed, plan.first_seed + (seeds or plan.seeds)))
        while True:
            kept = _runs(out, plan, settings, numbers, on_progress)
            runs = {cell: one.figures for cell, one in kept.items()}
            if seeds or len(numbers) >= plan.most_seeds or study.narrow_enough(runs, numbers):
                break
            last = min(numbers[-1] + SEEDS_ADDED, numbers[0] + plan.most_seeds - 1)
            numbers += range(numbers[-1] + 1, last + 1)
        shutil.rmtree(out / "worlds", ignore_errors=True)
        provenance = Provenance(
            study=plan.study, size=study.size, code=code_fingerprint(plan.modules),
            versions=current_versions(), cpu_s=sum(one.cpu_s for one in kept.values()),
        )  # fmt: skip
        result = study.result_of(runs, numbers, provenance)
        write_result(out, result, study.report_of(result))
    except OSError as error:
        raise FraudsimError(
            f"study {error.filename or out}: {error.strerror or error}; make room: {again}"
        ) from None
    except KeyboardInterrupt:
        raise StudyInterruptedError(f"study {plan.study}: interrupted; {again}") from None
    return result


def write_result(out: Path, result: msgspec.Struct, report: StudyReport) -> None:
    """Write `result.json`, `index.html`, `README.md`, figures and tables.

    Raises:
        OSError: a file cannot be written.
    """
    write_whole(out / "result.json", msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    write_report_files(out, report)


def _runs(
    out: Path, plan: CellPlan[F], settings: Settings, seeds: Sequence[int], on_progress: Progress
) -> "dict[tuple[str, str, int], _Kept[F]]":
    """The figures of every cell, from their files or by running them."""
    runs: dict[tuple[str, str, int], _Kept[F]] = {}
    groups = []
    for cells in plan.groups(seeds):
        missing = []
        for cell in cells:
            path = out / "cells" / plan.file_name(cell, settings)
            one = _read(path, plan.figures)
            if one is None:
                missing.append((cell, path))
            else:
                runs[cell] = one
        if missing:
            names, files = zip(*missing, strict=True)
            groups.append(_Group(plan, names, files, settings, out / "worlds", os.getpid()))
    to_do = len(plan.pairs()) * len(seeds)
    on_progress(len(runs), to_do)
    if not groups:
        return runs
    workers = min(len(groups), len(os.sched_getaffinity(0)))
    pool = WorkerPool(workers, f"study {plan.study}", "the same command goes on from there")
    try:
        arguments: list[tuple[Any, ...]] = [(group,) for group in groups]
        for finished in pool.in_order(_run_group, arguments, workers):
            runs.update(finished)
            on_progress(len(runs), to_do)
    finally:
        pool.close()
    return runs


def _run_group(group: _Group[F]) -> "list[tuple[StudyCell, _Kept[F]]]":
    done = []
    for cell, path in zip(group.cells, group.files, strict=True):
        if os.getppid() != group.parent:
            raise InterruptedError("the study has ended")
        one = _read(path, group.plan.figures)
        if one is None:
            started_s = time.process_time()
            figures = group.plan.run(cell, group.settings, group.scratch)
            one = _Kept(figures, time.process_time() - started_s)
            write_whole(path, msgspec.json.encode({"cpu_s": one.cpu_s, "figures": figures}))
        done.append((cell, one))
    return done


class _KeptFile(msgspec.Struct):
    cpu_s: float
    figures: msgspec.Raw


def _read(path: Path, kind: type[F]) -> "_Kept[F] | None":
    try:
        file = msgspec.json.decode(path.read_bytes(), type=_KeptFile)
        return _Kept(msgspec.json.decode(file.figures, type=kind), file.cpu_s)
    except (OSError, msgspec.DecodeError):
        return None
