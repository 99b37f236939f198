"""What an audit asks for at most, and what it found."""

from pathlib import Path
from typing import Literal

import msgspec

from fraudsim.errors import FraudsimError

Group = Literal["signal", "order", "truth"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One question to a history and its answer."""

    group: Group
    of: str
    """A column, or a table."""
    what: str
    value: float
    """An AUC, a share, or a number of offending rows, names or values."""
    bound: float
    """The most that `value` may be."""
    error: float = 0.0
    """Standard error of `value`, where it is an estimate."""
    passed: bool
    note: str = ""

    @property
    def name(self) -> str:
        return f"{self.of}: {self.what}"


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """What an audit found."""

    fingerprint: str
    """Of the history."""
    transactions: int
    frauds: int
    passed: bool
    checks: list[Check]

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.checks if not check.passed]


def count_check(group: Group, of: str, what: str, value: float | None, note: str = "") -> Check:
    """A check that lets nothing pass: `value` is a number of offences, None is 0."""
    number = float(value or 0)
    return Check(group=group, of=of, what=what, value=number, bound=0.0, passed=number == 0, note=note)


def audit_table(audit: Audit) -> str:
    """The audit as text, one line a check."""
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
                exact = group != "signal"
                found = f"{check.value:,.0f}" if exact else f"{check.value:.3f}"
                bound = f"{check.bound:,.0f}" if exact else f"{check.bound:.2f}"
                lines.append(f"  {check.name:<52}{found:>9}{bound:>8}  {verdict:<6} {check.note}".rstrip())
    failed = audit.failed
    lines += ["", f"{'FAIL' if failed else 'PASS'} ({len(audit.checks) - len(failed)}/{len(audit.checks)})"]
    return "\n".join(lines)


def write_audit(path: Path, audit: Audit) -> None:
    """The audit as JSON.

    Raises:
        FraudsimError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(audit), indent=2) + b"\n")
    except OSError as error:
        raise FraudsimError(f"audit {error.filename or path}: {error.strerror or error}") from None
