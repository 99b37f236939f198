"""A ledger, a campaign and a comparison of twin runs as tables of at most 80 columns."""

from collections.abc import Iterable
from datetime import UTC, datetime

from rich.box import SIMPLE_HEAD
from rich.table import Table

from fraudsim.process.terminal import plain_console
from producers.ledger.account import Account, Basis, Tally
from producers.ledger.comparison import Comparison
from producers.ledger.ledger import CampaignAccount, Ledger, parts_of

console = plain_console()
_HOUR_MIN = 60
_STOP_TITLES = {
    "decline": "decline",
    "step_up": "step-up",
    "review": "review",
    "block": "block",
}


def money(cents: float) -> str:
    """Cents as whole units, with thousands."""
    return f"{cents / 100:,.0f}"


def print_ledger(ledger: Ledger) -> None:
    """Print headline, alerts and the money by typology."""
    total, basis = ledger.total, ledger.basis
    parts = " + ".join(f"{name} {money(cents)}" for name, cents in parts_of(total, basis).items())
    console.print(_typologies(ledger))
    console.print(
        f"net loss {money(ledger.net_loss_rate)} per 1,000 cards and week = {parts}   "
        f"({basis.cards:,} cards, {basis.span_ms / 86_400_000:.2f} days, by {ledger.view})"
    )
    console.print(alerts_text(total, basis))
    insults = ", ".join(f"{n:,} by {name}" for name, n in _by_stop(total.insulted) if n)
    console.print(f"insults: {total.insults:,} ({insults or 'none'})   blocks that follow: {total.blocks:,}")


def alerts_text(account: Account, basis: Basis) -> str:
    """What a fraud team asks first: how many alerts, how many of them in vain, how much work."""
    alerts, frauds = account.flagged.count, account.flagged_frauds
    share = alerts / account.payments.count if account.payments.count else 0.0
    in_vain = f"{(alerts - frauds) / frauds:.1f}" if frauds else "no fraud found"
    hours = account.review_minutes / _HOUR_MIN
    days = basis.span_ms / 86_400_000
    per_day = f", {hours / days:.1f} hours a day" if days else ""
    return (
        f"alerts: {alerts:,} of {account.payments.count:,} payments ({share:.2%}), {frauds:,} frauds among "
        f"them; false positives for each fraud found: {in_vain}   reviews: {account.reviews:,}{per_day}"
    )


def _by_stop(tallies: dict[str, Tally]) -> Iterable[tuple[str, int]]:
    for name, stops in _STOPS_BY_TITLE.items():
        yield _STOP_TITLES[name], sum(tallies[stop].count for stop in stops)


_STOPS_BY_TITLE = {
    "decline": ("decline",),
    "step_up": ("step_up_denied", "step_up_unanswered"),
    "review": ("review",),
    "block": ("block",),
}


def _typologies(ledger: Ledger) -> Table:
    table = Table(
        "typology", "n", "at stake", "paid", *_STOP_TITLES.values(), title="frauds: paid, and stopped by",
        box=SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1),
    )  # fmt: skip
    for column in table.columns[1:]:
        column.justify = "right"
    for name, account in sorted(ledger.by_typology.items()):
        table.add_row(name, *_fraud_cells(account))
    table.add_row("all", *_fraud_cells(ledger.total), style="bold")
    return table


def _fraud_cells(account: Account) -> list[str]:
    stopped = [
        money(sum(account.stopped[stop].cents for stop in stops)) for stops in _STOPS_BY_TITLE.values()
    ]
    return [f"{account.at_stake.count:,}", money(account.at_stake.cents), money(account.paid.cents), *stopped]


def print_campaign(campaign: CampaignAccount) -> None:
    """Print one campaign's money."""
    account = campaign.account
    first = datetime.fromtimestamp(campaign.first_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    after = "never stopped"
    if campaign.first_stop_ms is not None:
        after = f"first stopped after {(campaign.first_stop_ms - campaign.first_ms) / 60_000:,.1f} minutes"
    console.print(
        f"{campaign.campaign_id}: {campaign.typology}, {len(campaign.cards):,} cards, from {first}, {after}"
    )
    table = Table("", "payments", "amount")
    for column in table.columns[1:]:
        column.justify = "right"
    rows = [("at stake", account.at_stake), ("paid", account.paid)]
    rows += [(f"stopped: {name.replace('_', ' ')}", tally) for name, tally in account.stopped.items()]
    for name, tally in rows:
        if tally.count or name in ("at stake", "paid"):
            table.add_row(name, f"{tally.count:,}", f"{tally.cents / 100:,.2f}")
    console.print(table)
    console.print(
        f"cost {account.net_loss_cents / 100:,.2f} = fraud paid {account.fraud_paid_cents / 100:,.2f} + "
        f"friction {account.friction_cents / 100:,.2f} + reviews {account.review_cents / 100:,.2f}"
    )


def print_comparison(comparison: Comparison) -> None:
    """Print what the second run of each pair costs more than the first."""
    rows = [("net loss", comparison.net_loss), *comparison.parts.items()]
    rows += [(f"paid: {name}", value) for name, value in comparison.fraud_paid_by_typology.items()]
    table = Table("per 1,000 cards and week", "difference (95 % interval)", title="second less first")
    for name, difference in rows:
        table.add_row(name, difference.text)
    console.print(table)
    console.print(f"{comparison.net_loss.pairs} pairs of twin runs; negative: the second loses less")
