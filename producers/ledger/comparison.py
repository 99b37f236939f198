"""Twin runs: what one regime or policy is worth against another, as a paired difference over seeds. Pure.

A count of what one run stopped says nothing of what it is worth: who is stopped tries again, so that each
retry would be stopped money once more. Only a twin run of the same seed tells what would have been.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from fraudsim.errors import FraudsimError
from fraudsim.student import student_quantile
from producers.ledger.account import Account
from producers.ledger.ledger import Ledger


class Difference(NamedTuple):
    """A mean paired difference with its 95 % interval, in cents per 1,000 cards and week."""

    pairs: int
    mean: float
    low: float | None
    """None for a single pair."""
    high: float | None

    @property
    def text(self) -> str:
        """In whole currency units, with the interval."""
        mean = f"{self.mean / 100:+,.2f}"
        if self.low is None or self.high is None:
            return f"{mean} (one pair: no interval)"
        return f"{mean} ({self.low / 100:+,.2f} to {self.high / 100:+,.2f})"


def difference_of(differences: Sequence[float]) -> Difference:
    """The mean of paired differences, with the interval of Student's t.

    >>> difference_of([100.0, 300.0]).mean
    200.0
    """
    n = len(differences)
    mean = math.fsum(differences) / n
    if n == 1:
        return Difference(1, mean, None, None)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in differences) / (n - 1))
    half = student_quantile(0.975, n - 1) * deviation / math.sqrt(n)
    return Difference(n, mean, mean - half, mean + half)


class Comparison(NamedTuple):
    """The second runs of pairs against the first: negative is cheaper."""

    net_loss: Difference
    parts: dict[str, Difference]
    """fraud paid, insults, friction, reviews."""
    fraud_paid_by_typology: dict[str, Difference]


_PARTS: Final = ("fraud_paid_cents", "insult_cents", "friction_cents", "review_cents")


def compare(pairs: Sequence[tuple[Ledger, Ledger]]) -> Comparison:
    """What the second ledger of each pair costs more than the first.

    Raises:
        FraudsimError: there is no pair, or the ledgers of a pair are not of the same cards or view.
    """
    if not pairs:
        raise FraudsimError("a comparison needs at least one pair of runs")
    for first, second in pairs:
        if (first.view, first.basis.cards) != (second.view, second.basis.cards):
            raise FraudsimError(
                f"twin runs must agree: one has {first.basis.cards} cards by {first.view}, the other "
                f"{second.basis.cards} by {second.view}"
            )
    typologies = sorted({name for pair in pairs for ledger in pair for name in ledger.by_typology})
    return Comparison(
        difference_of([b.net_loss_rate - a.net_loss_rate for a, b in pairs]),
        {
            part.removesuffix("_cents").replace("_", " "): difference_of(
                [_rate(b, b.total, part) - _rate(a, a.total, part) for a, b in pairs]
            )
            for part in _PARTS
        },
        {
            name: difference_of(
                [
                    _rate(b, b.by_typology.get(name), "fraud_paid_cents")
                    - _rate(a, a.by_typology.get(name), "fraud_paid_cents")
                    for a, b in pairs
                ]
            )
            for name in typologies
        },
    )


def _rate(ledger: Ledger, account: Account | None, part: str) -> int:
    return 0 if account is None else ledger.basis.rate(getattr(account, part))
