"""The options of a run of the line."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fraudsim.durations import option_ms
from fraudsim.errors import FraudsimError

NULL_S: Final = 15.0
RETRAIN_ON: Final = ("drift", "performance", "money")
"""What may ask for a retraining besides the period."""

Say = Callable[[str], None]
"""Shows one step of the run to the user."""


@dataclass(frozen=True)
class LineOptions:
    """The options of `fraudsim demo` and `fraudsim up`, whose help explains them."""

    run_dir: Path
    seconds: float | None = 60.0
    """Wall seconds of live traffic; None: until stopped, or to the end of the replayed file."""
    rate: float = 300.0
    """Transactions per wall second."""
    cards: int = 5_000
    history_days: int = 75
    replay: Path | None = None
    script: Path | None = None
    """Scenario file to play on the live stream."""
    consequences: bool = True
    """Labels follow from the decisions; else they come as the world has them, whatever is decided."""
    reacting: bool = False
    """Fraud campaigns and honest customers react to what stops their payments."""
    speed: float | None = None
    """Event seconds per wall second; None: derived from the rate."""
    reuse: Path | None = None
    """Folder of an earlier run whose history and model are copied."""
    shards: int = 1
    """Number of processes that share the sending by card."""
    engine: str = "faust"
    """What folds the log: faust or spark."""
    trigger: str | None = None
    """Interval of Spark's batches; None: its default."""
    master: str | None = None
    """Spark's master; None: this machine's cores."""
    page: bool = False
    """Whether the live page is part of the run."""
    beside: str | None = None
    """Lag of the features of a second scorer, for the live page, whose decisions nobody acts on."""
    controls: bool = False
    """Whether the run follows what is asked on `run.control`, and the live page takes it."""
    drift: bool = False
    """Whether whole weeks of event time are compared for drift."""
    retrain_every: str | None = None
    """Event time between two retrainings of the model, as `7d`; None for none."""
    retrain_on: tuple[str, ...] = ()
    """Of `RETRAIN_ON`."""
    promote_after: str | None = None
    """Event time after which a retrained shadow may decide, as `7d`; None: nobody promotes it."""
    null_seconds: float = NULL_S

    @property
    def retrains(self) -> bool:
        """Whether the run has a retrainer."""
        return self.retrain_every is not None or bool(self.retrain_on)


def check_retraining(options: LineOptions) -> None:
    """Raise FraudsimError for options of retraining that cannot be met, before any process starts."""
    unknown = [name for name in options.retrain_on if name not in RETRAIN_ON]
    if unknown:
        raise FraudsimError(f"--retrain-on {unknown[0]!r} is no trigger; there are {', '.join(RETRAIN_ON)}")
    if options.promote_after is not None and not options.retrains:
        raise FraudsimError("--promote-after needs --retrain-every or --retrain-on, which make shadows")
    if options.retrain_every is not None:
        option_ms("--retrain-every", options.retrain_every)
    if options.promote_after is not None:
        option_ms("--promote-after", options.promote_after)
