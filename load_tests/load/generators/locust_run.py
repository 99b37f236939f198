"""A run inside Locust: alone, or as master and workers that start one schedule at one time."""

import logging
import time
from typing import Any, Final
from weakref import WeakKeyDictionary

import gevent
import msgspec
from gevent.event import Event
from locust.runners import MasterRunner, WorkerRunner

from fraudsim.process.garbage_collection import freeze_gc
from load_tests.load.generators.dispatcher import SteadyClock
from load_tests.load.generators.locust_share import LocustShare
from load_tests.load.generators.plan import LoadPlan, plan_from_environment

START_IN_S: Final = 0.3
START_WITH_WORKERS_S: Final = 1.5
"""From the start's message to the first intended send: no worker moves it, one that is slow is late."""
START_MESSAGE: Final = "fraudsim_start"
DONE_MESSAGE: Final = "fraudsim_done"
POLL_S: Final = 0.2
logger = logging.getLogger(__name__)
_runs: WeakKeyDictionary[Any, "LocustRun"] = WeakKeyDictionary()


def run_of(environment: Any) -> "LocustRun":
    """The run of Locust's environment."""
    return _runs[environment]


class LocustRun:
    """This process's part of a run. Make it when Locust is initialised."""

    def __init__(self, environment: Any) -> None:
        """Raises FraudsimError: the plan cannot be read."""
        self._environment = environment
        self.plan: LoadPlan = plan_from_environment(environment.host or "")
        self.clock = SteadyClock()
        self._share: LocustShare | None = None
        self._ready = Event()
        self._senders = 0
        self._workers: list[str] = []
        """Master only: the workers among which the schedule is split, in the order of their shares; none
        between two starts."""
        self._handed_over: dict[str, int] = {}
        """Master only: requests by worker that has ended its share."""
        _runs[environment] = self
        events, runner = environment.events, environment.runner
        events.test_start.add_listener(self._on_test_start)
        events.spawning_complete.add_listener(self._on_spawned)
        events.test_stop.add_listener(self._on_stop)
        events.quitting.add_listener(self._on_stop)
        if isinstance(runner, WorkerRunner):
            runner.register_message(START_MESSAGE, self._on_start_message)
        elif isinstance(runner, MasterRunner):
            runner.register_message(DONE_MESSAGE, self._on_done_message)
            events.test_stopping.add_listener(self._on_stopping)

    def count_sender(self) -> int:
        """The number of senders so far, with the one that asks."""
        self._senders += 1
        return self._senders

    def wait_for_share(self) -> LocustShare:
        """The worker's share, once there is one."""
        self._ready.wait()
        assert self._share is not None
        return self._share

    # Start

    def _on_test_start(self, **_: Any) -> None:
        if not self.plan.folder:  # Locust's page may have named another host
            self.plan = plan_from_environment(self._environment.host or "")

    def _on_spawned(self, **_: Any) -> None:
        runner = self._environment.runner
        if isinstance(runner, WorkerRunner):
            return
        if not isinstance(runner, MasterRunner):
            self._start_share(0, 1, None)
            return
        if self._workers:
            return  # users were added, or a worker came, went or was slow: the schedule stays split as it is
        start_us = int((time.time() + START_WITH_WORKERS_S) * 1e6)
        clients = [*runner.clients.running, *runner.clients.spawning, *runner.clients.ready]
        self._workers = sorted({client.id for client in clients})
        self._handed_over = {}
        for index, worker in enumerate(self._workers):
            share = {"index": index, "workers": len(self._workers), "start_us": start_us}
            runner.send_message(START_MESSAGE, share, worker)
        gevent.spawn(self._end_when_done, self._workers)

    def _on_start_message(self, environment: Any, msg: Any, **_: Any) -> None:
        self._start_share(msg.data["index"], msg.data["workers"], msg.data["start_us"])

    def _start_share(self, index: int, workers: int, start_us: int | None) -> None:
        if self._share is not None:
            return  # users were added while it runs: the schedule is the same
        plan = self.plan
        if not plan.folder:  # each start from Locust's page has ids of its own, the same in every worker
            started_us = start_us or self.clock.now_us()
            plan = msgspec.structs.replace(plan, run_id=f"{plan.run_id}-{started_us:x}")
        self._share = LocustShare(plan, index, workers)
        freeze_gc()
        self._ready.set()
        # Alone it starts when the schedule has been made.
        self._share.start(start_us or self.clock.now_us() + int(START_IN_S * 1e6))
        gevent.spawn(self._finish, self._share)

    # End

    def _finish(self, share: LocustShare) -> None:
        share.wait_until_done()
        if self._share is not share:
            return  # somebody stopped it
        share.close(finished=True)
        runner = self._environment.runner
        if isinstance(runner, WorkerRunner):
            runner.send_message(DONE_MESSAGE, {"handed_over": share.dispatcher.handed_over})
        else:
            self._end()

    def _on_done_message(self, environment: Any, msg: Any, **_: Any) -> None:
        self._handed_over[msg.node_id] = msg.data["handed_over"]

    def _end_when_done(self, workers: list[str]) -> None:
        """Master: end when every worker is done or lost."""
        runner = self._environment.runner
        while True:
            gevent.sleep(POLL_S)
            if self._workers is not workers:
                return  # somebody stopped it
            present = {client.id for client in runner.clients.all if client.state != "missing"}
            if all(worker in self._handed_over or worker not in present for worker in workers):
                break
        done = [worker for worker in workers if worker in self._handed_over]
        sent = sum(self._handed_over[worker] for worker in done)
        logger.info("%d requests of the schedule sent by %d workers", sent, len(done))
        if len(done) < len(workers):
            logger.warning(
                "%d of %d workers were lost: what was sent is not the schedule",
                len(workers) - len(done), len(workers),
            )  # fmt: skip
        self._end()

    def _end(self) -> None:
        runner = self._environment.runner
        if self.plan.folder:
            runner.quit()
        else:
            runner.stop()

    def _on_stopping(self, **_: Any) -> None:
        self._workers = []

    def _on_stop(self, **_: Any) -> None:
        """The test was stopped, by its end or by somebody."""
        share, self._share = self._share, None
        self._ready.clear()
        if share is not None:
            share.close(finished=False)
