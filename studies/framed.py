"""The studies that consist of cells, and their commands."""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from fraudsim.errors import FraudsimError, InvariantError

if TYPE_CHECKING:
    from studies.frame.cell_plan import Size
    from studies.frame.definition import StudyDefinition, StudyResult
    from studies.frame.page import StudyReport

FRAMED: Final = {
    "cadence": "When does retraining pay? Triggers in net loss against never and an oracle.",
    "drift": "How often does drift alarm without cause, and how soon with one?",
    "freshness": "What is freshness worth, by typology and tempo? Regimes from real time to nightly.",
    "interference": "How far is an A/B test between cards from what all cards would see, and why?",
    "false-wins": "How often does an experiment tell equal arms apart, and how often a lift from none?",
    "bad-models": "Which gate stops a bad model: the check, the backtest, the shadow, a stage?",
    "treatments": "Class weights, focal loss, undersampling: average precision, cost and calibration.",
    "tradeoffs": "Models from logistic regression to a GRU: precision, net loss, latency, size, training.",
    "value": "From which volume does a real-time line pay, and how stale may features be below?",
    "skew": "What does it cost to serve other features than a model was trained on?",
    "labels": "What do late, selective and wrong labels cost, and what is exploration worth?",
    "windows": "What do hopping and tumbling windows lose against exact ones?",
    "camouflage": "What is hiding worth to fraudsters, and does training on it help?",
    "deadline": "How many decisions are degraded by load and deadline, and what do they let through?",
}
"""By name, the question; the package `studies/NAME/` has a module `definition`."""
OF_FILES: Final = ("skew", "windows")
"""Those that can be run on a public file: their arms need no second world, only other features."""


def definition_by_name(name: str, size: "Size") -> "StudyDefinition[Any, Any]":
    """A study of a size."""
    module = import_module(f"studies.{name.replace('-', '_')}.definition")
    definition: StudyDefinition[Any, Any] = module.study_of(size)
    return definition


def definition_of_file(
    name: str, size: "Size", history: Path, days: int | None
) -> "StudyDefinition[Any, Any]":
    """A study of a public file's history. Raises as `file_spec` does."""
    from studies.frame.file_world import file_spec

    module = import_module(f"studies.{name}.definition")
    definition: StudyDefinition[Any, Any] = module.study_of_file(file_spec(history, days), size)
    return definition


def named_in(folder: Path) -> tuple[str, "Size"]:
    """The study and size of a finished study's folder.

    Raises:
        FraudsimError: it has no result.
    """
    import msgspec

    from studies.frame.definition import StudyResult

    path = folder / "result.json"
    try:
        provenance = msgspec.json.decode(path.read_bytes(), type=StudyResult).provenance
    except OSError as error:
        raise FraudsimError(f"study {path}: {error.strerror}; run the study first") from None
    except msgspec.DecodeError as error:
        raise FraudsimError(f"study {path}: {error}; run the study again") from None
    if provenance.study not in FRAMED or provenance.size not in ("quick", "full"):
        raise FraudsimError(
            f"study {path}: {provenance.study} --{provenance.size} is not known; "
            f"there are {', '.join(FRAMED)}"
        )
    return provenance.study, "full" if provenance.size == "full" else "quick"


_OUT: Final = typer.Option(..., help="folder of the result; a study that is there already goes on")
_QUICK: Final = typer.Option(False, "--quick", help="a look, 3 minutes on two cores; the default")
_FULL: Final = typer.Option(False, "--full", help="the study itself: 20 minutes to 2 hours of CPU")
_SEEDS: Final = typer.Option(None, min=2, max=30, help="worlds, instead of the study's number")


def command_of(name: str) -> Callable[..., None]:
    """The command of a study."""

    def run(out: Path = _OUT, quick: bool = _QUICK, full: bool = _FULL, seeds: int | None = _SEEDS) -> None:
        run_study(definition_by_name(name, size_of(quick=quick, full=full)), out, seeds)

    def run_on_file(
        out: Path = _OUT,
        quick: bool = _QUICK,
        full: bool = _FULL,
        seeds: int | None = _SEEDS,
        history: Path | None = typer.Option(
            None, help="a public file's, by `fraudsim world replay FILE --out DIR`, instead of worlds"
        ),
        days: int | None = typer.Option(
            None,
            min=1,
            help="of it, the last ones, which are decided; a quarter if not given",
        ),
    ) -> None:
        size = size_of(quick=quick, full=full)
        study = definition_by_name(name, size)
        if history is not None:
            study = definition_of_file(name, size, history, days)
            seeds = shares_of(study, seeds)
        elif days is not None:
            raise FraudsimError("--days: is of a public file; give its --history too")
        run_study(study, out, seeds)

    command = run_on_file if name in OF_FILES else run
    command.__doc__ = FRAMED[name]
    return command


def shares_of(study: "StudyDefinition[Any, Any]", seeds: int | None) -> int | None:
    """How many shares of a file's cards are decided.

    Raises:
        FraudsimError: there are fewer.
    """
    if seeds is not None and seeds > study.plan.seeds:
        raise FraudsimError(f"--seeds {seeds}: a file's cards have {study.plan.seeds} shares; give fewer")
    return seeds


def size_of(*, quick: bool, full: bool) -> "Size":
    """The size that the options name.

    Raises:
        FraudsimError: they name two.
    """
    if quick and full:
        raise FraudsimError("--quick and --full: take one of them")
    return "full" if full else "quick"


def run_study(
    study: "StudyDefinition[Any, Any]", out: Path, seeds: int | None, *, printed: bool = True
) -> "tuple[StudyResult, StudyReport]":
    """Run what is not there yet, print the page, and return what the study says."""
    from rich.progress import Progress

    from fraudsim.process.terminal import plain_console
    from fraudsim.settings import load_settings
    from studies.frame.conduct import conduct
    from studies.frame.page import terminal_pages

    console = plain_console()
    with Progress(console=console) as progress:
        task = progress.add_task(study.plan.study)
        result = conduct(
            study, out, load_settings(), seeds,
            lambda done, to_do: progress.update(task, completed=done, total=to_do),
        )  # fmt: skip
    report = study.report_of(result)
    if printed:
        for page in terminal_pages(report):
            page.print_to(console)
            typer.echo()
        typer.echo(f"written to {out}: index.html, README.md, result.json, figures")
    return result, report


def kept_study(folder: Path) -> "tuple[str, tuple[StudyResult, StudyReport]]":
    """Name, result and report of a finished study's folder.

    Raises:
        FraudsimError: it has no result, one of another version of the study, or that of a public file, which
            is not one of our worlds.
    """
    from studies.frame.publication import read_study_result

    name, size = named_in(folder)
    study = definition_by_name(name, size)
    result = read_study_result(folder, study)
    if getattr(result, "file", None) is not None:
        raise FraudsimError(
            f"study {folder}: is of a public file, and what is published is of worlds; its pages are there"
        )
    try:
        return name, (result, study.report_of(result))
    except (InvariantError, LookupError, StopIteration):
        raise FraudsimError(
            f"study {folder / 'result.json'}: is of another version of the study; run it again, or remove "
            "the folder"
        ) from None


def with_kept(
    out: Path, results: "Mapping[str, tuple[StudyResult, StudyReport]]"
) -> "dict[str, tuple[StudyResult, StudyReport]]":
    """Results, with the other studies that are published in a folder. Raises as `kept_study` does."""
    others = [name for name in FRAMED if name not in results and (out / name / "result.json").exists()]
    return {**dict(kept_study(out / name) for name in others), **results}
