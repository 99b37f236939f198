"""`fraudsim policy check | dry-run | put | rollback` and `fraudsim explain`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraudsim.errors import FraudsimError
from fraudsim.process.terminal import plain_console

if TYPE_CHECKING:
    from rich.table import Table

    from producers.ledger.ledger import Ledger

policy = typer.Typer(
    no_args_is_help=True, help="The policy: rules, costs, limits. Check it, try it, exchange it."
)

New = Annotated[Path, typer.Argument(help="folder of a policy")]
Run = Annotated[Path | None, typer.Option("--run", help="folder of an archived run  [default: the latest]")]
At = Annotated[
    Path | None, typer.Option("--at", help="folder that a scorer watches  [default: FRAUDSIM_POLICY]")
]


@policy.callback()
def policy_commands() -> None:
    """The policy: rules, costs, limits. Check it, try it, exchange it."""


@policy.command()
def check(new: New) -> None:
    """Say whether a policy can be served, and how far its costs are from the consequences' own."""
    from fraudsim.settings import load_settings
    from model.artefact.costs import Costs
    from producers.world.settings import consequences
    from scorer.policy.cost_check import cost_lines
    from scorer.policy.file import load_policy

    checked = load_policy(new)
    typer.echo(f"{checked.version}: it can be served")
    for rules in checked.rules:
        evaluation = (
            "asked of every transaction, tens of µs each"
            if rules.always_evaluated
            else "asked where it could hit"
        )
        typer.echo(f"  {rules.name}: {', '.join(sorted(rules.rule_names)) or 'rules'}; {evaluation}")
    for line in cost_lines(checked, Costs.of(consequences(load_settings()))):
        typer.echo(line)


@policy.command("dry-run")
def dry_run(new: New, run: Run = None) -> None:
    """Show what a policy would have decided on an archived run, beside what was decided."""
    from rich.table import Table

    from fraudsim.settings import load_settings
    from producers.world.settings import consequences
    from scorer.explain.archived_decisions import read_decisions, read_manifests
    from scorer.explain.dry_run import decide_again, known_frauds, labelled_ledgers, transitions
    from scorer.policy.file import load_policy

    run_dir = _run(run)
    tried, manifests = load_policy(new), read_manifests(run_dir)
    decisions = list(read_decisions(run_dir))
    if not decisions:
        raise FraudsimError(f"--run {run_dir} holds no decisions")
    choices = decide_again(tried, decisions, manifests)
    frauds = known_frauds(run_dir, (decision.tx for decision in decisions))
    settings = load_settings()
    rules = consequences(settings), settings.seed
    ledgers = labelled_ledgers(run_dir, decisions, choices, rules)
    versions = ", ".join(sorted({decision.row["policy_version"] for decision in decisions}))
    missing = {decision.row["model_version"] for decision in decisions if not manifests.has(decision)}
    if missing:
        typer.echo(
            f"decided by {', '.join(sorted(missing))}; calibration is that of the run's "
            f"{manifests.initial.version}"
        )
    changed = sum(
        decision.action != choice.action for decision, choice in zip(decisions, choices, strict=True)
    )
    table = Table(title=f"{versions} → {tried.version}: {changed:,} of {len(decisions):,} would change")
    for title in ("was", "would be", "transactions", "value", "known frauds", "their value"):
        table.add_column(title, justify="left" if title in ("was", "would be") else "right")
    for (old, now), transition in transitions(decisions, choices, frauds).items():
        table.add_row(
            old, now, f"{transition.count:,}", f"{transition.cents / 100:,.2f}",
            f"{transition.known_frauds:,}", f"{transition.fraud_cents / 100:,.2f}",
            style=None if old == now else "bold",
        )  # fmt: skip
    console = plain_console(least_width=100)
    console.print(table)
    console.print(_money_table(*ledgers))
    console.print(
        "Known frauds are those that the run's labels tell of; what was declined is never reported: of those "
        "payments neither fraud nor insult is counted. `policy curve` asks the truth."
    )


def _money_table(was: "Ledger", would_be: "Ledger") -> "Table":
    from rich.table import Table

    table = Table(title="money by labels, per 1,000 cards seen and week")
    for title in ("", "net loss", "fraud paid", "insults", "friction", "reviews", "stopped, unknown"):
        table.add_column(title, justify="right" if title else "left")
    for name, ledger in (("was", was), ("would be", would_be)):
        total, rate = ledger.total, ledger.basis.rate
        parts = (total.fraud_paid_cents, total.insult_cents, total.friction_cents, total.review_cents)
        table.add_row(
            name,
            *(f"{rate(cents) / 100:,.0f}" for cents in (total.net_loss_cents, *parts)),
            f"{sum(tally.count for tally in total.unknown.values()):,}",
        )
    return table


@policy.command()
def put(new: New, at: At = None) -> None:
    """Check a policy and put it where a scorer watches; the old one is kept for a rollback."""
    from scorer.policy import store as policy_store

    typer.echo(f"{policy_store.put(new, _at(at)).version} is in place")


@policy.command()
def rollback(at: At = None) -> None:
    """Exchange the policy that a scorer watches for the one before."""
    from scorer.policy import store as policy_store

    typer.echo(f"{policy_store.rollback(_at(at)).version} is back in place")


def explain_one(
    tx_id: Annotated[str, typer.Argument(help="transaction to explain")],
    run: Run = None,
    named: Annotated[
        Path | None,
        typer.Option("--policy", help="folder of the policy that decided, if it is not in the run's"),
    ] = None,
) -> None:
    """Explain a decision of a run: features, score, reasons, rules, expected costs, thresholds, versions.

    The run may still be running: its archive is some seconds behind.
    """
    from scorer.explain.archived_decisions import read_decisions, read_manifests
    from scorer.explain.explanation import explain
    from scorer.policy.file import SHIPPED, load_policy
    from scorer.policy.store import previous_of

    run_dir = _run(run)
    decision = next(iter(read_decisions(run_dir, tx_id)), None)
    if decision is None:
        raise FraudsimError(f"--run {run_dir} has no decision on tx_id={tx_id!r}")
    manifest = read_manifests(run_dir).of(decision)
    run_policy = run_dir / "policy"
    candidates = (run_policy, previous_of(run_policy), SHIPPED)
    folders = [named] if named else [folder for folder in candidates if folder.is_dir()]
    version = decision.row["policy_version"]
    policies = {loaded.version: loaded for loaded in map(load_policy, folders)}
    if named and version not in policies:
        raise FraudsimError(f"--policy {named} is {', '.join(policies)}, but {version} decided")
    for line in explain(decision, manifest, policies.get(version)):
        typer.echo(line)


def _run(run: Path | None) -> Path:
    from fraudsim.settings import load_settings

    return run or load_settings().runs_dir / "latest"


def _at(folder: Path | None) -> Path:
    from fraudsim.settings import load_settings
    from scorer.policy.file import SHIPPED

    return folder or load_settings().policy or SHIPPED
