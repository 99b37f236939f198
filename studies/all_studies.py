"""All studies in one go: each is done, failed or left out, and the end says which."""

import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console

from fraudsim.errors import FraudsimError
from studies.frame.conduct import StudyInterruptedError
from studies.framed import FRAMED, definition_by_name, run_study, with_kept
from studies.report import Cell, Grid, Page

if TYPE_CHECKING:
    from studies.frame.cell_plan import Size
    from studies.frame.definition import StudyResult
    from studies.frame.page import StudyReport


class Ended(NamedTuple):
    """How a study of all ended."""

    name: str
    state: str
    """`done`, `failed` or `left out`."""
    seconds: float
    worlds: int
    answer: str
    """Its answer in one sentence, or why there is none."""


def run_all_studies(
    out: Path,
    size: "Size",
    seeds: int | None,
    publish_to: Path | None,
    without: frozenset[str],
    console: Console,
) -> bool:
    """Run all but those left out; index and publish what is done. Returns whether none failed.

    Raises:
        FraudsimError: a name to leave out is not known, somebody stopped a study, or the index cannot be
            written.
    """
    from studies.frame.publication import publish, write_index

    for name in sorted(without - FRAMED.keys()):
        raise FraudsimError(f"--without {name}: is not a study; there are {', '.join(FRAMED)}")
    for note in notes(without):
        console.print(note, markup=False, highlight=False)
    results: dict[str, tuple[StudyResult, StudyReport]] = {}
    ends = []
    for name in FRAMED:
        if name in without:
            ends.append(Ended(name, "left out", 0.0, 0, "--without"))
            continue
        started_s = time.monotonic()
        try:
            result, report = run_study(definition_by_name(name, size), out / name, seeds, printed=False)
        except StudyInterruptedError:
            raise
        except FraudsimError as error:
            ends.append(Ended(name, "failed", time.monotonic() - started_s, 0, str(error)))
        else:
            results[name] = result, report
            took_s = time.monotonic() - started_s
            ends.append(Ended(name, "done", took_s, len(result.seeds), report.answer[0]))
    write_index(out, results)
    if publish_to is not None:
        publish(publish_to, with_kept(publish_to, results))
    summary_of(ends, out, publish_to).print_to(console)
    return all(end.state != "failed" for end in ends)


def notes(without: frozenset[str]) -> list[str]:
    """What is to be known before hours are spent."""
    texts = []
    if "tradeoffs" not in without and find_spec("onnxruntime") is None:
        texts.append(
            "tradeoffs: ONNX Runtime is not installed (`make setup-zoo`): the GRU is timed as numpy runs it"
        )
    if "deadline" not in without:
        texts.append(
            "deadline: starts lines of its own; what else the machine does shows in it (`--without deadline`)"
        )
    return texts


def summary_of(ends: list[Ended], out: Path, publish_to: Path | None) -> Page:
    """The end of all."""
    states = {state: [end for end in ends if end.state == state] for state in ("done", "failed", "left out")}
    counts = ", ".join(f"{len(chosen)} {state}" for state, chosen in states.items() if chosen)
    texts = [f"{counts}. Answers and pages: {out}/README.md."]
    texts += [f"{end.name} failed: {end.answer}" for end in states["failed"]]
    if publish_to is not None:
        texts.append(f"Published in {publish_to}: {', '.join(end.name for end in states['done'])}.")
    rows = [
        [Cell(end.name), Cell(end.state), Cell(str(end.worlds or "")), Cell(f"{end.seconds:,.0f}")]
        for end in ends
    ]
    return Page("Studies", "\n".join(texts), Grid(["study", "state", "worlds", "seconds"], rows))
