"""Where a partition resumes: at the first source offset that the end of its `decisions` lacks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from aiokafka import TopicPartition

from fraudsim import metrics
from fraudsim.durations import duration_text
from fraudsim.errors import FraudsimError
from fraudsim.log.consumer import SHORT, open_reader
from fraudsim.log.events import Decision, decode_decision
from fraudsim.log.topics import DECISIONS, TRANSACTIONS

MAX_OUT_OF_ORDER: Final = 2_300
"""A decision is at most this many records late: others were sent, and acknowledged, while a send failed or a
zombie scorer went on. More than a scorer has unacknowledged at once."""
DECISIONS_READ_BACK: Final = 2 * MAX_OUT_OF_ORDER
"""Decisions read back from the end. Offsets below the newest of the older half are taken as decided."""


@dataclass(frozen=True, slots=True)
class DecidedOffsets:
    """The source offsets of one partition that have a decision."""

    to: int
    """All up to here that need one; -1 for none."""
    beyond: frozenset[int] = frozenset()
    """Those after the first offset without one: a send failed, or the record needs no decision."""


def decided_offsets(sources: Sequence[int], log_begins_with_them: bool) -> DecidedOffsets:
    """What the last decisions of a partition say, given by their source offsets in log order.

    A producer that could not deliver a batch in time may deliver the next one, so the newest offset does not
    mean that all before it are decided.
    """
    if not sources:
        return DecidedOffsets(-1)
    older = sources[:-MAX_OUT_OF_ORDER]
    to = max(older, default=-1 if log_begins_with_them else sources[0])
    beyond = {offset for offset in sources if offset > to}
    while to + 1 in beyond:
        to += 1
        beyond.remove(to)
    return DecidedOffsets(to, frozenset(beyond))


async def find_decided(
    kafka_bootstrap: str, partitions: Sequence[int], log: Any, lag_ms: int = 0, topic: str = DECISIONS
) -> dict[int, DecidedOffsets]:
    """What each partition's `decisions` hold.

    Args:
        lag_ms: of the features of the decisions that are to follow.
        topic: of the decisions.

    Raises:
        FraudsimError: the decisions there were made with another lag.
    """
    if not partitions:
        return {}
    tps = [TopicPartition(topic, partition) for partition in partitions]
    source_tps = [TopicPartition(TRANSACTIONS, partition) for partition in partitions]
    sources: dict[int, list[int]] = {partition: [] for partition in partitions}
    async with open_reader(kafka_bootstrap, tps, SHORT) as reader:
        begins, ends = await reader.begins(), await reader.ends()
        source_ends = await reader.ends(source_tps)  # after `ends`: so no decision is ahead of them
        starts = {tp: max(begins[tp], ends[tp] - DECISIONS_READ_BACK) for tp in tps}
        reader.seek(starts)
        async for tp, records, _ in reader.read_until(ends):
            source_end = source_ends[TopicPartition(TRANSACTIONS, tp.partition)]
            decisions = [_read(record, source_end, log) for record in records]
            offsets = [decision.source_offset for decision in decisions if decision is not None]
            sources[tp.partition] += [offset for offset in offsets if offset >= 0]
            _check_lag(decisions, lag_ms)
    return {tp.partition: decided_offsets(sources[tp.partition], starts[tp] == 0) for tp in tps}


def _read(record: Any, source_end: int, log: Any) -> Decision | None:
    """A record of `decisions`; None if it cannot be read, or be of a transaction.

    A forged one from beyond the log's end must not make the partition wait for that offset.
    """
    try:
        decision = decode_decision(record.value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        metrics.TRANSACTIONS.labels("resumed", "unreadable").inc()
        log.warning("decision_unreadable", partition=record.partition, offset=record.offset, error=str(error))
        return None
    if decision.source_offset < source_end:
        return decision
    metrics.TRANSACTIONS.labels("resumed", "invalid").inc()
    log.warning(
        "decision_ignored",
        partition=record.partition,
        offset=record.offset,
        source_offset=decision.source_offset,
        next_step="find out who writes to decisions beside the scorer",
    )
    return None


def _check_lag(decisions: Sequence[Decision | None], lag_ms: int) -> None:
    for decision in decisions:
        if decision is not None and not decision.degraded and decision.features_lag_ms != lag_ms:
            raise FraudsimError(
                f"features lag {duration_text(lag_ms)}: this line's decisions have "
                f"{duration_text(decision.features_lag_ms)}; give all its scorers the same"
            )
