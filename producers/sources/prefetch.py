"""An iterator that is run ahead, so that its pauses do not delay whoever takes from it."""

import queue
import threading
import time
from collections.abc import Iterator
from typing import Final, Generic, TypeVar

FILL_S: Final = 5.0
AT_ONCE: Final = 64
"""Items that pass from thread to thread at a time."""
T = TypeVar("T")


class Ahead(Generic[T]):
    """Runs an iterator in a thread, some items ahead."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._queue: queue.Queue[list[T] | BaseException] = queue.Queue(maxsize=64)
        self._chunk: Iterator[T] = iter(())
        self._closed = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="source", daemon=True)

    def __enter__(self) -> "Ahead[T]":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join(timeout=2)

    def fill(self, stop: threading.Event) -> None:
        """Wait until as much as fits is made, so that making it does not slow the first sends."""
        deadline = time.monotonic() + FILL_S
        while self._thread.is_alive() and not self._queue.full() and time.monotonic() < deadline:
            if stop.wait(0.01):
                return

    def next(self, stop: threading.Event) -> T | None:
        """The next item; None at the end, or on stop.

        Raises what the iterator raised.
        """
        while not self._ended:
            item = next(self._chunk, None)
            if item is not None:
                return item
            try:
                got = self._queue.get(timeout=0.2)
            except queue.Empty:
                if stop.is_set():
                    return None
                continue
            if isinstance(got, BaseException):
                self._ended = True
                raise got
            self._ended = not got  # an empty chunk is the end
            self._chunk = iter(got)
        return None

    def _run(self) -> None:
        try:
            chunk: list[T] = []
            for item in self._items:
                chunk.append(item)
                if len(chunk) == AT_ONCE:
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
