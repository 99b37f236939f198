"""The studies that consist of cells, and their commands."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

if TYPE_CHECKING:
    from studies.frame.cell_plan import Size
    from studies.frame.definition import StudyDefinition

FRAMED: Final = {
    "freshness": "What is freshness worth, by typology and tempo? Regimes from real time to nightly.",
    "interference": "How far is an A/B test between cards from what all cards would see, and why?",
    "false-wins": "How often does an experiment tell equal arms apart, and how often a lift from none?",
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
        from fraudsim.errors import FraudsimError

        if quick and full:
            raise FraudsimError("--quick and --full: take one of them")
        _run(name, out, "full" if full else "quick", seeds)

    run.__doc__ = FRAMED[name]
    return run


def _run(name: str, out: Path, size: "Size", seeds: int | None) -> None:
    from rich.progress import Progress

    from fraudsim.process.terminal import plain_console
    from fraudsim.settings import load_settings
    from studies.frame.conduct import conduct
    from studies.frame.page import terminal_pages

    console = plain_console()
    study = definition_by_name(name, size)
    with Progress(console=console) as progress:
        task = progress.add_task("runs")
        result = conduct(
            study, out, load_settings(), seeds,
            lambda done, to_do: progress.update(task, completed=done, total=to_do),
        )  # fmt: skip
    for page in terminal_pages(study.report_of(result)):
        page.print_to(console)
    typer.echo(f"written to {out}: index.html, README.md, result.json, figures")
