"""A thread that reads the log by an event loop of its own, beside a process without one."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from fraudsim.errors import FraudsimError


class ReadingThread:
    """Runs a coroutine that reads until `closed` is set. What ends it earlier is its `failure`."""

    def __init__(
        self,
        name: str,
        read: Callable[[], Coroutine[Any, Any, None]],
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Args:
            read: sets `caught_up` once it has read what was in the log when it began.
            on_failure: called in the thread when `failure` has been set.
        """
        self._read, self._on_failure = read, on_failure
        self.caught_up = threading.Event()
        self.closed = threading.Event()
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self, topic: str, within_s: float) -> None:
        """Start; returns when it has caught up.

        Raises:
            FraudsimError: it fails before, or takes longer. The line names the topic.
        """
        self._thread.start()
        if not self.caught_up.wait(within_s) or self.failure is not None:
            self.closed.set()
            raise FraudsimError(f"{topic} cannot be read: {self.failure or 'no answer from Kafka'}")

    def close(self, within_s: float = 10.0) -> None:
        """Ask it to end, and wait so long for it."""
        self.closed.set()
        self._thread.join(timeout=within_s)

    def _run(self) -> None:
        try:
            asyncio.run(self._read())
        # aiokafka cancels whoever waits for a consumer that is closed: that is no Exception, and has no text.
        except BaseException as error:
            if self.closed.is_set():  # nobody waits for more
                return
            ended = FraudsimError(f"reading was ended by {type(error).__name__}")
            self.failure = error if isinstance(error, Exception) and str(error) else ended
            self._on_failure()
            self.caught_up.set()
