"""Setting aside what cannot be read or is not valid: one record on `transactions.dlq`, acknowledged."""

import base64
from typing import Any, Final

from fraudsim import metrics
from fraudsim.log.acceptance import Rejected
from fraudsim.log.events import DeadLetter, encoder
from fraudsim.log.topics import DEAD_LETTERS

KEPT_BYTES: Final = 4_096


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
    """What makes a dead letter one: readers count distinct keys."""
    return f"{letter.topic}/{letter.partition}/{letter.offset}".encode()


class DeadLetterWriter:
    """Writes dead letters and waits until the broker has them."""

    def __init__(self, producer: Any) -> None:
        self._producer = producer
        self._waiting: list[Any] = []

    async def add(self, record: Any, rejected: Rejected) -> None:
        letter = dead_letter(record, rejected)
        metrics.DEAD_LETTERS.labels(rejected.field if rejected.field.isidentifier() else "value").inc()
        self._waiting.append(
            await self._producer.send(DEAD_LETTERS, value=encoder.encode(letter), key=dead_letter_key(letter))
        )

    async def settle(self) -> None:
        """Return once every letter added is acknowledged; raises what the broker refused."""
        waiting, self._waiting = self._waiting, []
        for sent in waiting:
            await sent
