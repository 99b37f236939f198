"""Prefetch for an iterator: a thread runs it ahead, so that its pauses do not delay the consumer."""

import queue
import threading
import time
from collections.abc import Iterator
from typing import Final, Generic, TypeVar

FILL_S: Final = 5.0
CHUNK_ITEMS: Final = 64
"""Items that pass from thread to thread at a time."""
QUEUE_CHUNKS: Final = 64
T = TypeVar("T")


class Prefetch(Generic[T]):
    """Runs an iterator in a thread, up to `QUEUE_CHUNKS` chunks ahead of the consumer. A context manager."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._queue: queue.Queue[list[T] | BaseException] = queue.Queue(maxsize=QUEUE_CHUNKS)
        self._chunk: Iterator[T] = iter(())
        self._closed = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="source", daemon=True)

    def __enter__(self) -> "Prefetch[T]":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join(timeout=2)

    def fill(self, stop: threading.Event) -> None:
        """Wait up to `FILL_S` until the queue is full, so that making items does not slow the first sends."""
        deadline = time.monotonic() + FILL_S
        while self._thread.is_alive() and not self._queue.full() and time.monotonic() < deadline:
            if stop.wait(0.01):
                return

    def next(self, stop: threading.Event) -> T | None:
        """The next item; None at the end, or if `stop` is set while there is none.

        Raises what the iterator raised.
        """
        while not self._ended:
            item = next(self._chunk, None)
            if item is not None:
                return item
            try:
                chunk = self._queue.get(timeout=0.2)
            except queue.Empty:
                if stop.is_set():
                    return None
                continue
            if isinstance(chunk, BaseException):
                self._ended = True
                raise chunk
            self._ended = not chunk  # an empty chunk marks the end
            self._chunk = iter(chunk)
        return None

    def _run(self) -> None:
        try:
            chunk: list[T] = []
            for item in self._items:
                chunk.append(item)
                if len(chunk) == CHUNK_ITEMS:
                    self._put(chunk)
                    chunk = []
                if self._closed.is_set():
                    return
            if chunk:
                self._put(chunk)
            self._put([])
        except BaseException as error:
            self._put(error)

    def _put(self, chunk: list[T] | BaseException) -> None:
        while not self._closed.is_set():
            try:
                self._queue.put(chunk, timeout=0.2)
            except queue.Full:
                continue
            return
