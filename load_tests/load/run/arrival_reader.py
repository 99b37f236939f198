"""Reads a load's decisions back from the log, and keeps when each arrived and the server's stamps."""

import asyncio
import threading
import time
from typing import Final

import msgspec
import uvloop
from aiokafka import TopicPartition

from fraudsim.log.consumer import open_reader
from fraudsim.log.topics import DECISIONS
from fraudsim.settings import Settings
from load_tests.load.generators.answers import AnswerStamps, stamp_values

READY_S: Final = 60.0


class _LoadDecision(msgspec.Struct, frozen=True):
    tx_id: str
    stamps: AnswerStamps = AnswerStamps()


_decode: Final = msgspec.json.Decoder(_LoadDecision).decode


class ArrivalReader:
    """Reads `decisions` from its end on, in a thread of its own, for the length of a `with` block."""

    def __init__(self, settings: Settings, prefix: str) -> None:
        """`prefix` is that of the load's transaction ids; a number follows it."""
        self._settings = settings
        self._prefix = prefix
        self.arrivals: dict[int, tuple[int, tuple[int, ...]]] = {}
        """By number: when its first decision was read (wall clock, µs), and its stamps."""
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="read-decisions", daemon=True)

    def __enter__(self) -> "ArrivalReader":
        self._thread.start()
        self._ready.wait(READY_S)
        self.check()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(15)

    def check(self) -> None:
        """Raises what ended the reading."""
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._consume())
        except BaseException as error:
            self._failure = error
            self._ready.set()

    async def _consume(self) -> None:
        bootstrap = self._settings.kafka_bootstrap
        partitions = [TopicPartition(DECISIONS, p) for p in range(self._settings.partitions)]
        async with open_reader(bootstrap, partitions, client_id="load") as reader:
            reader.seek(await reader.ends())
            self._ready.set()
            while not self._stop.is_set():
                polled = await reader.poll()
                arrived_us = time.time_ns() // 1000
                for records in polled.values():
                    for record in records:
                        self._keep(record.value, arrived_us)

    def _keep(self, value: bytes, arrived_us: int) -> None:
        if self._prefix.encode() not in value:
            return  # the line's own traffic
        decision = _decode(value)
        if decision.tx_id.startswith(self._prefix):
            number = int(decision.tx_id.removeprefix(self._prefix))
            self.arrivals.setdefault(number, (arrived_us, stamp_values(decision.stamps)))
