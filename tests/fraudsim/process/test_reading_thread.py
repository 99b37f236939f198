"""A thread that reads: whatever ends it is named, a cancellation too, and whoever waits for it goes on."""

import asyncio
import threading

import pytest

from fraudsim.errors import FraudsimError
from fraudsim.process.reading_thread import ReadingThread

LONG_S = 30.0


class Reading:
    """Reads nothing, and fails when it is let go."""

    def __init__(self, error):
        self.error, self.let_go, self.failed = error, threading.Event(), threading.Event()
        self.thread = ReadingThread("test", self.read, self.failed.set)

    async def read(self):
        self.thread.caught_up.set()
        await asyncio.to_thread(self.let_go.wait, LONG_S)
        raise self.error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (asyncio.CancelledError(), "reading was ended by CancelledError"),
        (TimeoutError(), "reading was ended by TimeoutError"),
        (FraudsimError("the log is gone"), "the log is gone"),
    ],
)
def test_whatever_ends_it_is_its_failure(error, text):
    reading = Reading(error)
    reading.thread.start("run.control", LONG_S)
    assert reading.thread.failure is None
    reading.let_go.set()
    assert reading.failed.wait(LONG_S)
    assert str(reading.thread.failure) == text
    reading.thread.close()


@pytest.mark.parametrize("error", [asyncio.CancelledError(), OSError("no route")])
def test_one_that_fails_before_it_has_caught_up_names_its_topic(error):
    async def read():
        raise error

    with pytest.raises(FraudsimError, match=r"^run\.control cannot be read: (reading was ended by|no route)"):
        ReadingThread("test", read).start("run.control", LONG_S)


def test_what_happens_when_it_is_closed_is_no_failure():
    reading = Reading(asyncio.CancelledError())
    reading.thread.start("run.control", LONG_S)
    threading.Timer(0.05, reading.let_go.set).start()
    reading.thread.close()
    assert reading.thread.failure is None
    assert not reading.failed.is_set()
