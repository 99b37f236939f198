"""`fraudsim load compare A B`: two URLs, or two commits of this repository, in turns."""

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec

import load_tests
from fraudsim.errors import FraudsimError
from fraudsim.process.stop_signals import stop_on_signals
from fraudsim.whole_files import write_whole
from load_tests.load.compare.contestants import checked_out, is_url, line_of
from load_tests.load.compare.statistics import FEWEST_TURNS, FigureDifference, compare_turns
from load_tests.load.report.result import FORMAT, RESULT_FILE, read_result
from load_tests.load.run.environment import environment
from load_tests.load.run.options import LoadOptions, make_out
from load_tests.load.run.probe import Figures, LoadProbe, Probed, figures_of

ATTEMPTS: Final = 3
SEED_STEP: Final = 1_000
REPOSITORY: Final = Path(load_tests.__path__[0]).parent
Say = Callable[[str], None]


def run_compare(a: str, b: str, options: LoadOptions, turns: int, say: Say, reuse: Path | None = None) -> int:
    """Compare, write the result, and print it.

    Args:
        reuse: a run folder whose history and model the commits' lines take; None for those of the first.

    Returns:
        The exit code: 0, 1 where B is worse than A beyond what can be detected, 3 where too few turns were
        measured.

    Raises:
        FraudsimError: a contestant is neither, or cannot be started.
    """
    if reuse is not None and not ((reuse / "history").is_dir() and (reuse / "model").is_dir()):
        raise FraudsimError(f"--reuse {reuse}: no history and model there; name the folder of a run")
    stop = stop_on_signals()
    out = make_out(options.out)
    figures: dict[str, list[Figures]] = {"a": [], "b": []}
    if Path(a).is_dir() and Path(b).is_dir():
        figures = {"a": stored_turns(Path(a)), "b": stored_turns(Path(b))}
        count = min(map(len, figures.values()))
        figures = {name: turns[:count] for name, turns in figures.items()}
        why = "" if count >= FEWEST_TURNS else f"{count} rounds each: {FEWEST_TURNS} are needed (--rounds)"
    else:
        why = _take_turns(
            (a, b), replace(options, out=out), turns, figures, stop, say, reuse and reuse.absolute()
        )
    differences = compare_turns(figures["a"], figures["b"]) if not why else []
    word = _word(differences, why)
    result = {
        "format": FORMAT, "kind": "compare", "a": a, "b": b, "verdict": word, "why": why,
        "turns": figures, "differences": [_as_json(difference) for difference in differences],
        "environment": environment(options.kind),
    }  # fmt: skip
    write_whole(out / RESULT_FILE, msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    for difference in differences:
        say(
            f"{difference.figure}: B is {difference.ratio - 1:+.1%} of A, detectable beyond "
            f"{difference.detectable - 1:.1%}: {difference.word}"
        )
    say(word + (f": {why}" if why else ""))
    return {"worse": 1, "not measured": 3}.get(word, 0)


def _word(differences: Sequence[FigureDifference], why: str) -> str:
    if why or not differences:
        return "not measured"
    words = {difference.word for difference in differences}
    return "worse" if "worse" in words else "better" if "better" in words else "no difference"


def _as_json(difference: FigureDifference) -> dict[str, Any]:
    return {
        "figure": difference.figure,
        "ratio": round(difference.ratio, 4),
        "detectable": round(difference.detectable, 4),
        "turns": difference.turns,
        "word": difference.word,
    }


def stored_turns(folder: Path) -> list[Figures]:
    """The figures of each round of an earlier load.

    Raises:
        FraudsimError: it holds none, or another version's.
    """
    result = read_result(folder)
    rounds: list[Figures] = result.get("rounds_figures") or []
    if not rounds:
        raise FraudsimError(f"{folder}: no rounds to compare; run it with --rounds {FEWEST_TURNS} or more")
    return rounds


def _take_turns(
    contestants: tuple[str, str],
    options: LoadOptions,
    turns: int,
    figures: dict[str, list[Figures]],
    stop: threading.Event,
    say: Say,
    reuse: Path | None,
) -> str:
    """Load both in every turn, in changing order; returns why nothing was measured, or an empty text."""
    if turns < FEWEST_TURNS:
        raise FraudsimError(f"--turns {turns}: at least {FEWEST_TURNS} are needed")
    with ExitStack() as stack:
        trees = {
            name: stack.enter_context(checked_out(name, REPOSITORY))
            for name in dict.fromkeys(contestants)
            if not is_url(name)
        }
        for turn in range(turns):
            pair = list(zip(("a", "b"), contestants, strict=True))
            for letter, name in pair if turn % 2 == 0 else reversed(pair):
                if stop.is_set():
                    return "it was stopped"
                say(f"turn {turn + 1} of {turns}: {letter}, {name}")
                folder = options.out / f"{letter}-{turn}"
                own = replace(options, out=folder / "load", seed=options.seed + turn)
                folder.mkdir(parents=True, exist_ok=True)
                if is_url(name):
                    probed = _measure(LoadProbe(replace(own, url=name), stop, say), say)
                else:
                    probed, reuse = _load_line(trees[name], folder / "run", reuse, own, stop, say)
                if probed.verdict.word == "not measured":
                    return f"turn {turn + 1}, {letter}: {probed.verdict.why}"
                figures[letter].append(figures_of(probed))
    return ""


def _load_line(
    tree: Path, run: Path, reuse: Path | None, options: LoadOptions, stop: threading.Event, say: Say
) -> tuple[Probed, Path]:
    """Start a commit's line, load it, end it; the later ones take the first one's history and model."""
    with line_of(tree, run, reuse) as line:
        url = None if options.stream else line.http_url
        probe = LoadProbe(replace(options, url=url, run=run), stop, say)
        return _measure(probe, say), reuse or run


def _measure(probe: LoadProbe, say: Say) -> Probed:
    """Load until something was measured, a few times at most: a pause of the machine passes."""
    options = probe.options
    for number in range(ATTEMPTS):
        probed = probe.measure(options.rate, options.seconds, options.seed + SEED_STEP * number)
        if probed.verdict.word != "not measured":
            break
        say(f"again: {probed.verdict.why}")
    return probed
