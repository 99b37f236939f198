"""Reads a topic as it grows, in a thread of its own."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import uvloop
from aiokafka import TopicPartition

from fraudsim.log.consumer import open_reader
from fraudsim.settings import Settings

READY_S: Final = 60.0
STOP_S: Final = 15.0
OnRecord = Callable[[Any, int], None]
"""Called in the thread with each record, and when it was read: wall clock, µs."""


class TopicFollower:
    """Passes on every record of a topic, for the length of a `with` block."""

    def __init__(
        self, settings: Settings, topic: str, on_record: OnRecord, client_id: str, *, from_end: bool = False
    ) -> None:
        """`from_end` leaves out what is in the topic when the block begins."""
        self._settings = settings
        self._topic = topic
        self._on_record = on_record
        self._client_id = client_id
        self._from_end = from_end
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"{client_id}-{topic}", daemon=True)

    def __enter__(self) -> "TopicFollower":
        self._thread.start()
        self._ready.wait(READY_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(STOP_S)

    def check(self) -> None:
        """Raises what ended the reading."""
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._follow())
        except BaseException as error:
            self._failure = error
            self._ready.set()

    async def _follow(self) -> None:
        bootstrap = self._settings.kafka_bootstrap
        partitions = [TopicPartition(self._topic, p) for p in range(self._settings.partitions)]
        async with open_reader(bootstrap, partitions, client_id=self._client_id) as reader:
            if self._from_end:
                reader.seek(await reader.ends())
            else:
                await reader.seek_to_begins()
            self._ready.set()
            while not self._stop.is_set():
                polled = await reader.poll()
                arrived_us = time.time_ns() // 1000
                for records in polled.values():
                    for record in records:
                        self._on_record(record, arrived_us)
