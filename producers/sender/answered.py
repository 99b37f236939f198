"""How far HTTP's answers have carried event time, while the source of a log was not sent."""

import asyncio
from typing import Any, Final

from aiokafka import TopicPartition

from fraudsim.log import headers as h
from fraudsim.log.acceptance import Rejected, read_event
from fraudsim.log.clock import Clock, event_time_ms
from fraudsim.log.clock_log import ClockLog
from fraudsim.log.consumer import SHORT, open_reader, partitions_of
from fraudsim.log.events import decode_transaction
from fraudsim.log.topics import CLOCK, TRANSACTIONS

READ_BACK: Final = 1_000
"""Records of each partition that are read back. HTTP stamps in the order of arrival but for some seconds."""


def last_answered_ms(clock_log: ClockLog) -> int:
    """The latest event time of the transactions at the log's end that HTTP answered; 0 if there is none.

    `clock_log` has been read to its end.
    """
    topic = clock_log.topic.removesuffix(CLOCK) + TRANSACTIONS
    tps = [TopicPartition(topic, n) for n in partitions_of(clock_log.bootstrap, [topic])[topic]]
    return asyncio.run(_last_answered_ms(clock_log, tps)) if tps else 0


async def _last_answered_ms(clock_log: ClockLog, tps: list[TopicPartition]) -> int:
    latest_ms = 0
    async with open_reader(clock_log.bootstrap, tps, SHORT) as reader:
        begins, ends = await reader.begins(), await reader.ends()
        reader.seek({tp: max(begins[tp], ends[tp] - READ_BACK) for tp in tps})
        async for _, records, _ in reader.read_until(ends):
            latest_ms = max([latest_ms, *(answered_ms(record, clock_log.clock) for record in records)])
    return latest_ms


def answered_ms(record: Any, clock: Clock) -> int:
    """The event time that HTTP gave a transaction; 0 if HTTP did not answer it, or it is not valid.

    A record with a forged header carries the clock no further than an honest one that arrived with it.
    """
    number = h.int_header(record.headers, h.SEGMENT)
    if number is None or h.header(record.headers, h.DECISION) is None:
        return 0
    segment, event = clock.segment(number, record.timestamp), read_event(record.value, decode_transaction)
    if segment is None or isinstance(event, Rejected):
        return 0
    return min(event.ts, event_time_ms(segment, record.timestamp) + segment.future_ms)
