"""The limits of an audit: the most that an honest world may show."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AuditLimits:
    """The most that an honest world may show. Measured on the default one, 20,000 cards over 30 days.

    An AUC fails where it is above its bound by more than `sigmas` standard errors (Hanley & McNeil 1982),
    so that a small history is not failed by chance.
    """

    signal: float = 0.85
    """AUC of a column that real fraud shows in: web shops, new devices, strange addresses. The honest most is
    mcc's fraud rates with 0.80; channel alone has 0.75, because most fraud is card-not-present."""
    cents: float = 0.60
    """AUC of an amount's last two digits. Cash comes in round sums and subscriptions end in 9, so they say a
    little: 0.51 honest."""
    mark: float = 0.55
    """AUC of what nobody chooses: ids, milliseconds, the order of rows. 0.49 to 0.51 honest."""
    peculiar: float = 0.02
    """Share of all frauds at values that are mostly fraud and yet common to `unrelated` campaigns. 0 honest:
    campaigns know nothing of each other. This finds a mark on a few frauds, which no AUC does."""
    pairs: float = 0.005
    """Share of all frauds at combinations of two columns that are fraud nine times in ten and common to
    `unrelated` campaigns. 0 honest. This finds what no payment can be: a web purchase without an address, a
    mandate at a shop that takes none, cash that is not in tens."""
    unrelated: int = 5
    sigmas: float = 3.0
    prior: float = 20.0
