"""The controls of a log as its sender follows them: the place of each attack and drift is decided here."""

import threading
import time
from collections.abc import Sequence
from typing import Final

import structlog

from fraudsim.log.events import RunControl
from producers.controls.attack import records_of
from producers.controls.control_log import ControlFollower, append_control
from producers.controls.controls import Controls, Placement
from producers.controls.drift import Drifts
from producers.sources.source import Item
from producers.world.world import World

LEAD_S: Final = 1.0
"""An attack begins so much wall time after the sender's position: it must be made, and its place logged."""
LOOK_S: Final = 0.05
_log = structlog.get_logger()


class SenderControls:
    """A `producers.sender.send_plan.LiveControls`. A context manager; its thread gives requests their place.

    A place is later than all that is sent before it is in the log: while it is being logged, the sender may
    not pass it.
    """

    def __init__(
        self, bootstrap: str, world: World, speed: float, end_ms: float, stop: threading.Event
    ) -> None:
        """
        Args:
            speed: event milliseconds per wall millisecond.
            end_ms: event time at which the stream ends.
            stop: set if the controls cannot be followed; `failure` then holds the error.
        """
        self._bootstrap, self._world = bootstrap, world
        self._lead_ms = LEAD_S * 1000 * speed
        self._end_ms = end_ms
        self._stop_sender = stop
        self._follower = ControlFollower(bootstrap, on_failure=stop.set)
        self._drifts = Drifts()
        self._lock = threading.Lock()
        self._position_ms: int | None = None
        """Event time of the latest record sent; None until all that the log held has been passed."""
        self._barrier_ms: int | None = None
        """Event time that the sender may not pass until `_added` has been taken."""
        self._added: list[Item] | None = None
        self._closed = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="placing", daemon=True)

    def __enter__(self) -> "SenderControls":
        self._follower.__enter__()
        for placement in self.placements:
            self._drifts.add(placement)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join(timeout=10)
        self._follower.__exit__()

    @property
    def failure(self) -> Exception | None:
        """Why the controls cannot be followed any more."""
        return self._failure or self._follower.failure

    @property
    def placements(self) -> list[Placement]:
        """What the stream has already."""
        return list(self._controls.placements)

    @property
    def _controls(self) -> Controls:
        return self._follower.controls

    # For the sender

    @property
    def share(self) -> float:
        return self._controls.share

    @property
    def paused(self) -> bool:
        return self._controls.paused

    @property
    def has_added(self) -> bool:
        return self._added is not None

    def take_added(self) -> Sequence[Item]:
        with self._lock:
            if self._added is None:
                return ()
            added, self._added, self._barrier_ms = self._added, None, None
            return added

    def may_pass(self, due_ms: int, logged_to_ms: int | None) -> bool:
        with self._lock:
            if self._barrier_ms is not None and due_ms > self._barrier_ms:
                return False
            if logged_to_ms is not None:
                self._position_ms = max(due_ms, logged_to_ms, self._position_ms or 0)
            return True

    def applied(self, item: Item) -> Item:
        event = self._drifts.applied(item.event)
        return item if event is item.event else item._replace(event=event)

    # The thread

    def _run(self) -> None:
        try:
            while not self._closed.wait(LOOK_S):
                for control in list(self._controls.unplaced()):
                    self._insert(control)
        except Exception as error:
            self._failure = error
            self._stop_sender.set()

    def _insert(self, control: RunControl) -> None:
        """Give a request its place, and its records to the sender; later, if the sender is not there yet."""
        with self._lock:
            if self._position_ms is None or self._barrier_ms is not None:
                return
            lead_ms = round(self._lead_ms * self.share)
            at_ms = max(self._position_ms + lead_ms, control.ts)
            if at_ms >= self._end_ms:
                return
            self._barrier_ms = at_ms
        placement = Placement(control, at_ms)
        records = records_of(placement, self._world)
        placed = RunControl(control_id=control.control_id, kind="placed", ts=at_ms)
        append_control(self._bootstrap, placed)
        self._drifts.add(placement)
        with self._lock:
            self._added = records
        _log.info("control_placed", control=control.control_id, at_ms=at_ms, records=len(records))
        self._await_logged(control)

    def _await_logged(self, control: RunControl) -> None:
        """Wait until the follower has read the place back, so that it is not given twice."""
        while any(other.control_id == control.control_id for other in self._controls.unplaced()):
            if self._closed.is_set() or self._follower.failure is not None:
                return
            time.sleep(LOOK_S)
