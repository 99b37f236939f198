"""What an answer says: whether it is good, and the server's stamps in it. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from load_tests.load.clocks.records import NO_STAMPS, STAMPS
from load_tests.load.generators.plan import LoadPlan

ACTIONS: Final = ("approve", "step_up", "review", "decline")
SHOWN: Final = 160
"""Bytes of a wrong answer that are kept."""


class AnswerStamps(msgspec.Struct, frozen=True):
    """The stamps of a decision; one that its version lacks is 0."""

    appended: int = 0
    received: int = 0
    dequeued: int = 0
    state_read: int = 0
    features: int = 0
    scored: int = 0
    decided: int = 0


class _Answer(msgspec.Struct, frozen=True):
    action: str = ""
    stamps: AnswerStamps = AnswerStamps()


class _BatchItem(msgspec.Struct):
    status: int
    decision: _Answer | None = None


class _BatchAnswer(msgspec.Struct):
    results: list[_BatchItem]


_decode: Final = msgspec.json.Decoder(_Answer).decode
_decode_batch: Final = msgspec.json.Decoder(_BatchAnswer).decode


@dataclass(frozen=True, slots=True)
class AnswerCheck:
    """What was made of an answer."""

    problem: str = ""
    """What is wrong with it; empty for a good one."""
    stamps: tuple[int, ...] = NO_STAMPS


Check = Callable[[int, bytes], AnswerCheck]
"""From status and body."""


def check_for(plan: LoadPlan) -> Check:
    """The check of the answers of a plan's target."""
    if not plan.fraudsim:
        return check_foreign
    return check_decision if plan.batch == 1 else check_batch


def check_foreign(status: int, body: bytes) -> AnswerCheck:
    """Any status from 200 to 299 is good."""
    return AnswerCheck() if 200 <= status < 300 else _not_ok(status, body)


def check_decision(status: int, body: bytes) -> AnswerCheck:
    """200 with a decision is good."""
    if status != 200:
        return _not_ok(status, body)
    try:
        answer = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return AnswerCheck("the answer is no decision")
    if answer.action not in ACTIONS:
        return AnswerCheck("no action in the answer")
    return AnswerCheck("", stamp_values(answer.stamps))


def check_batch(status: int, body: bytes) -> AnswerCheck:
    """200 with a decision for every transaction is good; the stamps are those of the last decision."""
    if status != 200:
        return _not_ok(status, body)
    try:
        results = _decode_batch(body).results
    except (msgspec.DecodeError, UnicodeDecodeError):
        return AnswerCheck("the answer is no batch of results")
    decisions = [item.decision for item in results if item.status == 200 and item.decision is not None]
    if len(decisions) < len(results) or not decisions:
        statuses = sorted({item.status for item in results})
        return AnswerCheck(f"a batch with statuses {', '.join(map(str, statuses))}")
    last = max(decisions, key=lambda decision: decision.stamps.decided)
    return AnswerCheck("", stamp_values(last.stamps))


def stamp_values(stamps: AnswerStamps) -> tuple[int, ...]:
    """The stamps in the order of `STAMPS`."""
    return tuple(getattr(stamps, name) for name in STAMPS)


def _not_ok(status: int, body: bytes) -> AnswerCheck:
    return AnswerCheck(f"{status}: {' '.join(body[:SHOWN].decode(errors='replace').split())}")
