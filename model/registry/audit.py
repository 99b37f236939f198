"""The audit log of a registry: who or what changed which roles, when and why; `audit.jsonl`, one line each.

A line is written after the roles have changed, under the registry's lock. A process that is killed between
both, and anybody who edits the roles by hand, leaves roles that no line tells of: the next change tells so.
"""

import getpass
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from fraudsim.errors import FraudsimError
from model.registry.aliases import Aliases

AUDIT_FILE: Final = "audit.jsonl"
UNRECORDED: Final = "unrecorded"
"""Actor of a change that left no line."""


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """Who or what changes roles, and why."""

    actor: str
    reason: str = ""


PROGRAM: Final = Cause(actor="a program")
"""Of a change for which nobody gives a cause."""


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One change of roles."""

    at_ms: int
    """Wall time, ms UTC."""
    actor: str
    user: str
    """Of the operating system."""
    reason: str
    before: Aliases | None
    """None for the first version of a registry."""
    after: Aliases


def append_entry(registry: Path, before: Aliases | None, after: Aliases, cause: Cause) -> None:
    """Add a change; first one that nobody has recorded, if the last line says other roles than `before`.

    The caller holds the registry's lock. A last line that was cut off is replaced.
    """
    path = registry / AUDIT_FILE
    entries = read_audit(registry)
    last = entries[-1].after if entries else None
    lines = []
    if before is not None and last != before:
        unrecorded = Cause(actor=UNRECORDED, reason="the roles were changed without a line here")
        lines.append(_entry(last, before, unrecorded))
    lines.append(_entry(before, after, cause))
    content = path.read_bytes() if path.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    with path.open("r+b" if path.exists() else "wb") as file:
        file.truncate(len(whole))
        file.seek(len(whole))
        file.write(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
        file.flush()
        os.fsync(file.fileno())


def read_audit(registry: Path) -> list[AuditEntry]:
    """Every change, oldest first; of a registry of an earlier version none. A cut-off last line is left out.

    Raises:
        FraudsimError: a whole line cannot be read; the message names it.
    """
    path = registry / AUDIT_FILE
    try:
        *lines, _ = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise FraudsimError(f"models {path}: {error.strerror}") from None
    entries = []
    for number, line in enumerate(lines, 1):
        try:
            entries.append(msgspec.json.decode(line, type=AuditEntry))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise FraudsimError(f"models {path}: line {number}: {error}; move the file away") from None
    return entries


def _entry(before: Aliases | None, after: Aliases, cause: Cause) -> AuditEntry:
    user = ""
    with suppress(KeyError, OSError):
        user = getpass.getuser()
    return AuditEntry(
        at_ms=round(time.time() * 1000), actor=cause.actor, user=user, reason=cause.reason, before=before,
        after=after,
    )  # fmt: skip
