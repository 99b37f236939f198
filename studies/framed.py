"""The studies that consist of cells, and their commands."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

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


def definition_by_name(name: str, size: "Size") -> "StudyDefinition[Any, Any]":
    """A study of a size."""
    module = import_module(f"studies.{name.replace('-', '_')}.definition")
    definition: StudyDefinition[Any, Any] = module.study_of(size)
    return definition


def named_in(folder: Path) -> tuple[str, "Size"]:
    """The study and size of a finished study's folder.

    Raises:
        FraudsimError: it has no result.
    """
    import msgspec

    from fraudsim.errors import FraudsimError
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


def command_of(name: str) -> Callable[..., None]:
    """The command of a study."""

    def run(
        out: Path = typer.Option(..., help="folder of the result; a study that is there already goes on"),
        quick: bool = typer.Option(False, "--quick", help="a look, 3 minutes on two cores; the default"),
        full: bool = typer.Option(False, "--full", help="the study, sized to 2 hours"),
        seeds: int | None = typer.Option(None, min=2, max=30, help="worlds, instead of the study's number"),
    ) -> None:
        run_study(name, out, size_of(quick=quick, full=full), seeds)

    run.__doc__ = FRAMED[name]
    return run


def size_of(*, quick: bool, full: bool) -> "Size":
    """The size that the options name.

    Raises:
        FraudsimError: they name two.
    """
    from fraudsim.errors import FraudsimError

    if quick and full:
        raise FraudsimError("--quick and --full: take one of them")
    return "full" if full else "quick"


def run_study(name: str, out: Path, size: "Size", seeds: int | None) -> "tuple[StudyResult, StudyReport]":
    """Run what is not there yet, print the page, and return what the study says."""
    from rich.progress import Progress

    from fraudsim.process.terminal import plain_console
    from fraudsim.settings import load_settings
    from studies.frame.conduct import conduct
    from studies.frame.page import terminal_pages

    console = plain_console()
    study = definition_by_name(name, size)
    with Progress(console=console) as progress:
        task = progress.add_task(name)
        result = conduct(
            study, out, load_settings(), seeds,
            lambda done, to_do: progress.update(task, completed=done, total=to_do),
        )  # fmt: skip
    report = study.report_of(result)
    for page in terminal_pages(report):
        page.print_to(console)
    typer.echo(f"written to {out}: index.html, README.md, result.json, figures")
    return result, report


def kept_study(folder: Path) -> "tuple[str, tuple[StudyResult, StudyReport]]":
    """Name, result and report of a finished study's folder. Raises as `named_in` does."""
    from studies.frame.publication import read_study_result

    name, size = named_in(folder)
    study = definition_by_name(name, size)
    result = read_study_result(folder, study)
    return name, (result, study.report_of(result))


def kept_studies(out: Path) -> "dict[str, tuple[StudyResult, StudyReport]]":
    """The studies that are published in a folder. Raises as `named_in` does."""
    folders = [out / name for name in FRAMED if (out / name / "result.json").exists()]
    return dict(map(kept_study, folders))
