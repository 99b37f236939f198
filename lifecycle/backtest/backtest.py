"""`fraudsim model backtest`: on a history by twin runs, on a run's log off-policy; writes JSON and a page."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from fraudsim.whole_files import write_whole
from lifecycle.backtest.log_backtest import log_backtest
from lifecycle.backtest.page import PAGE_FILE, RESULT_FILE, page
from lifecycle.backtest.result import BacktestResult
from lifecycle.backtest.twin_backtest import twin_backtest
from lifecycle.backtest.verdict import MARGIN
from model.artefact.files import load_model
from producers.history.reader import read_history
from producers.world.settings import consequences
from scorer.policy.file import SHIPPED, load_policy
from simulator.line.traffic import traffic_of


@dataclass(frozen=True)
class BacktestPlan:
    """What is compared on what; exactly one of `history` and `run`.

    Raises:
        FraudsimError: both or neither is given, or the margin is no share.
    """

    a: Path
    b: Path
    out: Path
    history: Path | None = None
    run: Path | None = None
    weeks: int = 4
    margin: float = MARGIN
    maturity_days: float | None = None
    """Of a run: younger decisions are left out; None: FRAUDSIM_LABEL_GAP_DAYS."""
    policy: Path | None = None
    reacting: bool = True

    def __post_init__(self) -> None:
        if (self.history is None) == (self.run is None):
            raise FraudsimError("backtest: give one of --history DIR and --run DIR")
        if not 0 <= self.margin <= 1:
            raise FraudsimError(f"--margin {self.margin:g} is a share, from 0 to 1")
        if self.maturity_days is not None and not 0 <= self.maturity_days < 365:
            raise FraudsimError(f"--maturity {self.maturity_days:g} must be from 0 to 365 days")


def backtest(
    plan: BacktestPlan, settings: Settings, on_step: Callable[[str], None] = lambda _: None
) -> BacktestResult:
    """Compare two models, and write `backtest.json` and `index.html`.

    Raises:
        FraudsimError: a model, history, policy or run cannot be used, or too little is known.
    """
    on_step("loading both models")
    models = load_model(plan.a), load_model(plan.b)
    if plan.run is not None:
        on_step("reading the log")
        maturity = settings.label_gap_days if plan.maturity_days is None else plan.maturity_days
        result = log_backtest(plan.run, models, settings, maturity, plan.margin)
    else:
        assert plan.history is not None
        traffic = traffic_of(read_history(plan.history), plan.weeks * 7)
        policy = load_policy(plan.policy or settings.policy or SHIPPED)
        result = twin_backtest(
            traffic, models, policy, consequences(settings), plan.margin,
            reacting=plan.reacting and traffic.world is not None, on_step=on_step,
        )  # fmt: skip
    try:
        plan.out.mkdir(parents=True, exist_ok=True)
        write_whole(
            plan.out / RESULT_FILE, msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n"
        )
        write_whole(plan.out / PAGE_FILE, page(result))
    except OSError as error:
        raise FraudsimError(f"--out {error.filename or plan.out}: {error.strerror or error}") from None
    return result
