"""The report of a search: the trials, the choice, and one look at the held-out periods."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from fraudsim.errors import FraudsimError
from fraudsim.whole_files import write_whole
from model.artefact.files import current_versions
from model.artefact.manifest import Versions
from model.forest.fit import HONEST_ROWS, SHIPPED, XGBOOST_DEFAULTS, TreeParameters
from model.tuning.paired import PairedDifference
from model.tuning.trials import WORST_LOSS, Trial, WorldTrial, compare, fold_scores, frauds_of
from model.tuning.worlds import ValidationWorld

SHOWN: Final = 10


class HeldOutLook(msgspec.Struct, frozen=True, kw_only=True):
    """One set of parameters on the periods that no fold touched."""

    parameters: TreeParameters
    worlds: list[WorldTrial]

    @property
    def worst_low(self) -> float:
        """The lowest lower bound."""
        return min(world.compared.low for world in self.worlds)


class TuneReport(msgspec.Struct, frozen=True, kw_only=True):
    """`tune.json`."""

    trials: int
    best: list[Trial]
    """The first by mean difference, whether they lose somewhere or not."""
    choice: Trial | None
    """Null if every trial loses somewhere."""
    held_out: list[HeldOutLook]
    """The shipped parameters, then the chosen ones if they are others; empty unless asked."""
    seed: int
    versions: Versions


def report_of(
    trials: Sequence[Trial], choice: Trial | None, held_out: list[HeldOutLook], seed: int
) -> TuneReport:
    """The report of a search."""
    best = sorted(trials, key=lambda trial: -trial.mean_difference)[:SHOWN]
    return TuneReport(
        trials=len(trials),
        best=best,
        choice=choice,
        held_out=held_out,
        seed=seed,
        versions=current_versions(),
    )


def held_out_look(worlds: Sequence[ValidationWorld], parameters: TreeParameters, seed: int) -> HeldOutLook:
    """Parameters against XGBoost's defaults on the held-out periods, with as many rows as training takes."""
    compared = []
    for world in worlds:
        rows = [world.held_out]
        own, baseline = (
            [fold_scores(world, world.held_out, tried, seed, HONEST_ROWS)]
            for tried in (parameters, XGBOOST_DEFAULTS)
        )
        difference = compare(world, rows, own, baseline, seed)
        compared.append(WorldTrial(world=world.name, frauds=frauds_of(rows), compared=difference))
    return HeldOutLook(parameters=parameters, worlds=compared)


def markdown(report: TuneReport) -> str:
    """The report as a page."""
    lines = [
        "# Training parameters by prequential validation",
        "",
        f"{report.trials} trials. Difference: average precision above XGBoost's defaults, mean over the "
        "worlds; worst: the lowest lower bound of a world (90 % interval, paired bootstrap over cards).",
        "",
        "| difference | worst | " + " | ".join(TreeParameters.__dataclass_fields__) + " | s |",
        "|---|---|" + "---|" * (len(TreeParameters.__dataclass_fields__) + 1),
        *(_trial_line(trial) for trial in report.best),
    ]
    if report.choice is None:
        lines += ["", f"No trial stays above −{WORST_LOSS:g} in every world: keep the shipped parameters."]
    else:
        lines += ["", "Chosen, by world:", "", *_world_lines(report.choice.worlds)]
    for look in report.held_out:
        which = "The shipped parameters" if look.parameters == SHIPPED else "The chosen parameters"
        holds = "nowhere" if look.worst_low >= -WORST_LOSS else "somewhere"
        lines += ["", f"{which} on the held-out periods; {holds} a lower bound under −{WORST_LOSS:g}:", ""]
        lines += _world_lines(look.worlds)
    return "\n".join(lines) + "\n"


def write_tune_report(folder: Path, report: TuneReport) -> None:
    """Write `tune.json` and `tune.md`.

    Raises:
        FraudsimError: the folder cannot be written.
    """
    document = msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"
    try:
        write_whole(folder / "tune.json", document)
        write_whole(folder / "tune.md", markdown(report))
    except OSError as error:
        raise FraudsimError(f"model tune {folder}: {error.strerror}; name another --out") from None


def _trial_line(trial: Trial) -> str:
    values = [f"{value:.3g}" for value in _values(trial.parameters)]
    return (
        "| "
        + " | ".join(
            [f"{trial.mean_difference:+.3f}", f"{trial.worst_low:+.3f}", *values, f"{trial.seconds:.0f}"]
        )
        + " |"
    )


def _values(parameters: TreeParameters) -> list[float]:
    return [getattr(parameters, name) for name in TreeParameters.__dataclass_fields__]


def _world_lines(worlds: Sequence[WorldTrial]) -> list[str]:
    lines = [
        "| world | frauds tested | average precision | XGBoost's defaults | difference (90 %) |",
        "|---|---|---|---|---|",
    ]
    return lines + [f"| {world.world} | {world.frauds:,} | {_compared(world.compared)} |" for world in worlds]


def _compared(found_difference: PairedDifference) -> str:
    d = found_difference
    return (
        f"{d.average_precision:.3f} | {d.baseline:.3f} | {d.difference:+.3f} ({d.low:+.3f} to {d.high:+.3f})"
    )
