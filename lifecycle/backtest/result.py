"""What a backtest found, as `backtest.json` holds it."""

import msgspec

from lifecycle.backtest.off_policy import OffPolicyEstimate
from lifecycle.backtest.typologies import TypologyComparison
from lifecycle.backtest.verdict import Interval
from model.artefact.manifest import Versions


class Fold(msgspec.Struct, frozen=True, kw_only=True):
    """One week; money in cents per 1,000 cards and week."""

    first_ms: int
    loss_of_a: float
    loss_of_b: float
    difference: Interval
    insults_of_a: int
    insults_of_b: int


class DecisionOfBoth(msgspec.Struct, frozen=True, kw_only=True):
    """A decision on which the models differ."""

    tx_id: str
    card_id: str
    ts: int
    amount_cents: int
    channel: str | None
    truth: str
    """The typology, `honest`, or what is known of it."""
    score_of_a: float
    score_of_b: float
    action_of_a: str
    action_of_b: str
    cents_of_a: float
    cents_of_b: float


class TwinFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What only a world can tell."""

    kinds_of_a: dict[str, float]
    """Cents per 1,000 cards and week by kind of cost."""
    kinds_of_b: dict[str, float]
    insults_of_a: int
    insults_of_b: int
    typologies: list[TypologyComparison]
    actions_of_a: dict[str, int]
    actions_of_b: dict[str, int]


class BacktestResult(msgspec.Struct, frozen=True, kw_only=True):
    """`backtest.json`."""

    a: str
    b: str
    source: str
    """The history or run."""
    method: str
    """`twin run` or `off-policy`."""
    truth: str
    """Whether the truth is known, in words."""
    weeks: float
    cards: int
    loss_of_a: float
    """Net loss, cents per 1,000 cards and week; of a log what labels say of it."""
    difference: Interval
    margin: float
    gate: int
    verdict: str
    cannot_know: list[str]
    folds: list[Fold]
    differing: int
    """Decisions with another action."""
    examples: list[DecisionOfBoth]
    twin: TwinFigures | None = None
    off_policy: OffPolicyEstimate | None = None
    versions: Versions
