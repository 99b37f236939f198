"""The user of Locust: a sender that takes the next due request of its worker's share, whichever it is."""

from typing import Any, Final
from urllib.parse import urlsplit

from geventhttpclient.url import URL
from locust import FastHttpUser, task

from load_tests.load.generators.kept_connection import Exchange, KeptConnection
from load_tests.load.generators.locust_run import run_of
from load_tests.load.generators.locust_share import outcome_row

FROM_INTENDED: Final = "from intended send"


class ScheduledSender(FastHttpUser):
    """A sender. It has no schedule and no pace of its own; the rate comes from the run alone."""

    def __init__(self, environment: Any) -> None:
        self._load = run_of(environment)
        plan = self._load.plan
        target = urlsplit(plan.url)
        self.host = f"{target.scheme}://{target.netloc}"
        self.network_timeout = self.connection_timeout = plan.timeout_s
        super().__init__(environment)
        self._path = target.path
        client = self.client.client.clientpool.get_client(URL(plan.url))
        self._connection = KeptConnection(client, self._load.clock)

    def on_start(self) -> None:
        """Connect, if it is among those that connect before the start."""
        if self._load.count_sender() <= self._load.plan.opened:
            try:
                self._connection.connect()
            except OSError:
                self._connection.close()  # it tries again with its first request

    @task
    def send(self) -> None:
        """Wait for a due request, send it, keep its record."""
        share = self._load.wait_for_share()
        due = share.dispatcher.next_request()
        share.begin()
        exchange = self._connection.exchange(share.request(due.number))
        problem = share.end(due, exchange)
        self._show(due.intended_us, exchange, problem)

    def on_stop(self) -> None:
        self._connection.close()

    def _show(self, intended_us: int, exchange: Exchange, problem: str) -> None:
        """Locust's own rows: from sent, and beside it from intended."""
        end_us = exchange.completed_us or self._load.clock.now_us()
        self.environment.events.request.fire(
            request_type="POST",
            name=self._path,
            response_time=(end_us - (exchange.sent_us or exchange.ready_us)) / 1000,
            response_length=len(exchange.body),
            exception=Exception(problem) if problem else None,
            context={},
        )
        outcome_row(self.environment, FROM_INTENDED, (end_us - intended_us) / 1000, problem)
