"""`fraudsim model tune`: the choice of training parameters by validation in time."""

from pathlib import Path

import typer

from fraudsim.errors import FraudsimError


def tune(
    out: Path = typer.Option(..., help="folder of the search; an interrupted one goes on there"),
    trials: int = typer.Option(20, min=2, help="end after this many trials, earlier ones in --out included"),
    minutes: float = typer.Option(30.0, min=0, help="or after this long"),
    file: list[Path] | None = typer.Option(
        None, help="also validate on a file of a known layout; repeatable"
    ),
    history: list[Path] | None = typer.Option(None, help="also validate on a history; repeatable"),
    cards: int = typer.Option(4000, min=50, help="cards of each generated world"),
    held_out: bool = typer.Option(
        False, "--held-out", help="then test once on the periods that no fold touches"
    ),
) -> None:
    """Search parameters that beat XGBoost's defaults on every world, by consecutive validation folds."""
    from rich.markdown import Markdown

    from fraudsim.process.terminal import plain_console
    from fraudsim.settings import load_settings
    from model.forest.fit import SHIPPED
    from model.tuning import tune_report
    from model.tuning.search import SearchBudget, require_optuna, search
    from model.tuning.trials import Trial, choose
    from model.tuning.worlds import (
        MONTH,
        WorldSize,
        file_world,
        handbook_like_world,
        history_world,
        own_worlds,
        prepare,
    )

    console, seed = plain_console(), load_settings().seed
    require_optuna()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FraudsimError(f"model tune {out}: {error.strerror}; name another --out") from None
    size = WorldSize(cards=cards)
    plans = [*own_worlds(size), handbook_like_world(size)]
    plans += [file_world(path, MONTH) for path in file or []]
    plans += [history_world(directory) for directory in history or []]
    worlds = []
    for plan in plans:
        with console.status(f"features of {plan.name}"):
            worlds.append(prepare(plan, out / "worlds"))

    def on_trial(number: int, trial: Trial) -> None:
        console.print(
            f"trial {number}: {trial.mean_difference:+.4f}, worst {trial.worst_low:+.4f}, "
            f"{trial.seconds:.0f} s",
            style="dim",
        )

    finished = search(worlds, out / "trials.jsonl", SearchBudget(trials, minutes), seed, on_trial)
    if not finished:
        raise FraudsimError(f"model tune: --minutes {minutes:g} leaves no time for a trial; give more")
    choice = choose(finished)
    tried = list(dict.fromkeys([SHIPPED, choice.parameters if choice else SHIPPED])) if held_out else []
    looked = [tune_report.held_out_look(worlds, parameters, seed) for parameters in tried]
    report = tune_report.report_of(finished, choice, looked, seed)
    tune_report.write_tune_report(out, report)
    console.print(Markdown(tune_report.markdown(report)))
    typer.echo(f"written to {out}")
