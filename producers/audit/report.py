"""The report of an audit: its checks, as values, as a text table and as JSON."""

from pathlib import Path
from typing import Literal

import msgspec

from fraudsim.errors import FraudsimError

Group = Literal["signal", "order", "truth"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check of a history and its result."""

    group: Group
    of: str
    """Name of the column or table."""
    what: str
    value: float
    """An AUC, a share, or a number of violations."""
    bound: float
    """Upper limit of `value`."""
    error: float = 0.0
    """Standard error of `value`, if it is an estimate."""
    passed: bool
    note: str = ""

    @property
    def name(self) -> str:
        return f"{self.of}: {self.what}"


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an audit."""

    fingerprint: str
    """The history's."""
    transactions: int
    frauds: int
    passed: bool
    checks: list[Check]

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.checks if not check.passed]


def count_check(group: Group, of: str, what: str, value: float | None, note: str = "") -> Check:
    """A check that fails on any violation: `value` is their number, None is 0."""
    number = float(value or 0)
    return Check(group=group, of=of, what=what, value=number, bound=0.0, passed=number == 0, note=note)


def audit_table(audit: Audit) -> str:
    """The audit as text, one line per check."""
    lines = [
        f"{audit.transactions:,} transactions, {audit.frauds:,} frauds, fingerprint {audit.fingerprint[:16]}"
    ]
    titles = {
        "signal": "AUC of one column alone (0.5 says nothing)",
        "order": "offending rows",
        "truth": "names and values of the truth among what can be observed",
    }
    for group, title in titles.items():
        lines += ["", f"  {title:<52}{'found':>9}{'bound':>8}"]
        for check in audit.checks:
            if check.group == group:
                verdict = "ok" if check.passed else "LEAK" if group != "order" else "BROKEN"
                is_count = group != "signal"
                value = f"{check.value:,.0f}" if is_count else f"{check.value:.3f}"
                bound = f"{check.bound:,.0f}" if is_count else f"{check.bound:.2f}"
                lines.append(f"  {check.name:<52}{value:>9}{bound:>8}  {verdict:<6} {check.note}".rstrip())
    failed = audit.failed
    lines += ["", f"{'FAIL' if failed else 'PASS'} ({len(audit.checks) - len(failed)}/{len(audit.checks)})"]
    return "\n".join(lines)


def write_audit(path: Path, audit: Audit) -> None:
    """Write the audit as JSON.

    Raises:
        FraudsimError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(audit), indent=2) + b"\n")
    except OSError as error:
        raise FraudsimError(f"audit {error.filename or path}: {error.strerror or error}") from None
