"""Dead letters: one acknowledged record on `transactions.dlq` for each unreadable or invalid record."""

import base64
from typing import Any, Final

from fraudsim.log.acceptance import Rejected
from fraudsim.log.events import DeadLetter, encoder
from fraudsim.log.topics import DEAD_LETTERS

KEPT_BYTES: Final = 4_096
"""Longest prefix of a record's value that its dead letter holds."""


def dead_letter(record: Any, rejected: Rejected) -> DeadLetter:
    """The dead letter of a Kafka record."""
    value = record.value or b""
    return DeadLetter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        reason=rejected.reason,
        field=rejected.field,
        size_bytes=len(value),
        raw_base64=base64.b64encode(value[:KEPT_BYTES]).decode(),
        broker_ts_ms=record.timestamp,
    )


def dead_letter_key(letter: DeadLetter) -> bytes:
    """The Kafka key that identifies a dead letter: readers count distinct keys."""
    return f"{letter.topic}/{letter.partition}/{letter.offset}".encode()


class DeadLetterWriter:
    """Sends the dead letters of one reading and waits for the broker's acknowledgements."""

    def __init__(self, producer: Any) -> None:
        self._producer = producer
        self._pending_acks: list[Any] = []

    async def add(self, record: Any, rejected: Rejected) -> None:
        letter = dead_letter(record, rejected)
        self._pending_acks.append(
            await self._producer.send(DEAD_LETTERS, value=encoder.encode(letter), key=dead_letter_key(letter))
        )

    async def await_acks(self) -> None:
        """Return once every added letter is acknowledged; raises the broker's error if it refused one."""
        pending_acks, self._pending_acks = self._pending_acks, []
        for ack in pending_acks:
            await ack
