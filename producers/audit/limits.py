"""The limits of an audit: the most that an honest world may show."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AuditLimits:
    """Limits of AUCs and shares, measured on the default world of 20,000 cards over 30 days.

    An AUC fails if it exceeds its limit by more than `sigmas` standard errors (Hanley & McNeil 1982), so that
    a small history does not fail by chance.
    """

    signal: float = 0.85
    """AUC of a column that real fraud shows in: web shops, new devices, unusual addresses. The highest honest
    one is 0.80 (fraud rates of mcc); channel alone has 0.75, because most fraud is card-not-present."""
    cents: float = 0.60
    """AUC of an amount's last two digits. Cash comes in round sums and subscriptions end in 9, so they tell a
    little: 0.51 honest."""
    artefact: float = 0.55
    """AUC of what no payer chooses: ids, milliseconds, the order of rows. 0.49 to 0.51 honest."""
    fraud_only_values: float = 0.02
    """Share of all frauds at values that are mostly fraud and yet common to `min_campaigns` campaigns. 0
    honest: campaigns are independent. This finds a marker on a few frauds, which no AUC does."""
    fraud_only_pairs: float = 0.005
    """Share of all frauds at combinations of two columns that are fraud nine times in ten and common to
    `min_campaigns` campaigns. 0 honest. This finds impossible payments: a web purchase without an address, a
    mandate at a shop that takes none, cash that is not in tens."""
    min_campaigns: int = 5
    """Campaigns that must share a value, or a pair of values, to make it a marker of fraud."""
    sigmas: float = 3.0
    prior: float = 20.0
    """Transactions by which the fraud rate of a value is shrunk towards the mean."""
