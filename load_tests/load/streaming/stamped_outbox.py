"""An outbox that notes when each record was handed to the client."""

import time
from typing import Final

from fraudsim.log import headers as h
from fraudsim.log.topics import TRANSACTIONS
from load_tests.load.clocks.records import NO_STAMPS, pack_record
from producers.outbox.outbox import OnAck, Outbox

ROOM_US: Final = 200
"""A wait for room that took longer blocked the record."""


class StampedOutbox:
    """An `Outbox` that notes when each record is handed to the client it wraps."""

    def __init__(self, inner: Outbox, topic_prefix: str = "") -> None:
        self._inner = inner
        self._timed_topic = topic_prefix + TRANSACTIONS
        self._free_us = 0
        self.records = bytearray()
        self.handed_over = 0

    @property
    def outstanding(self) -> int:
        return self._inner.outstanding

    def hand_over(
        self,
        topic: str,
        key: str,
        value: bytes,
        headers: list[tuple[str, bytes]],
        on_ack: OnAck | None = None,
    ) -> None:
        """Note the time, and pass the record on."""
        if topic == self._timed_topic:
            number = int(dict(headers)[h.ORDINAL])
            sent_us = time.time_ns() // 1000
            times = (_sent_at(value), self._free_us, sent_us, sent_us, 0)
            self.records += pack_record(number, times, NO_STAMPS, 0, False)
            self.handed_over += 1
        self._inner.hand_over(topic, key, value, headers, on_ack)

    def wait_for_room(self, timeout_s: float = 1.0) -> bool:
        """As the client it wraps; a wait means that no room, the stream's sender, was free."""
        started_us = time.time_ns() // 1000
        has_room = self._inner.wait_for_room(timeout_s)
        now_us = time.time_ns() // 1000
        if now_us - started_us > ROOM_US:
            self._free_us = now_us
        return has_room

    def check(self) -> None:
        self._inner.check()

    def flush(self, timeout_s: float = 90.0) -> None:
        self._inner.flush(timeout_s)

    def close(self, timeout_s: float = 5.0) -> None:
        self._inner.close(timeout_s)


def _sent_at(value: bytes) -> int:
    """The intended send time that the sender stamped, µs."""
    start = value.rindex(b'"sent_at":') + 10
    return int(value[start:].rstrip(b"}").split(b",", 1)[0])
