"""Where a partition resumes: after the last source offset found at the end of its `decisions`."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from fraudsim import metrics
from fraudsim.log.events import decode_decision
from fraudsim.log.topics import DECISIONS

DECISIONS_READ_BACK: Final = 2_000
"""Decisions read back from the end; late ones of a zombie scorer may follow the newest."""


async def last_decided(kafka_bootstrap: str, partitions: Sequence[int], log: Any) -> dict[int, int]:
    """Last source offset decided in each partition; -1 where there is none."""
    if not partitions:
        return {}
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka_bootstrap,
        enable_auto_commit=False,
        fetch_max_wait_ms=20,  # stopping waits for the current fetch
    )
    await consumer.start()
    try:
        tps = [TopicPartition(DECISIONS, partition) for partition in partitions]
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        begins = await consumer.beginning_offsets(tps)
        for tp in tps:
            consumer.seek(tp, max(begins[tp], ends[tp] - DECISIONS_READ_BACK))
        last_offsets = dict.fromkeys(partitions, -1)
        while any([await consumer.position(tp) < ends[tp] for tp in tps]):
            for tp, records in (await consumer.getmany(timeout_ms=1_000)).items():
                for record in records:
                    offset = _source_offset(record, log)
                    last_offsets[tp.partition] = max(last_offsets[tp.partition], offset)
        return last_offsets
    finally:
        await consumer.stop()


def _source_offset(record: Any, log: Any) -> int:
    """Source offset of a record of `decisions`; -1 if the record cannot be read."""
    try:
        return decode_decision(record.value or b"").source_offset
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        metrics.TRANSACTIONS.labels("resumed", "unreadable").inc()
        log.warning("decision_unreadable", partition=record.partition, offset=record.offset, error=str(error))
        return -1
