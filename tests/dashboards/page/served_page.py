"""The page served from records made by hand, in a thread, and a plain HTTP client."""

import http.client
import json
import threading
import time
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from types import SimpleNamespace

import uvicorn

from dashboards.page.app import PageApp
from dashboards.page.control_desk import ControlDesk
from dashboards.page.counts.run_state import RunState
from dashboards.page.part_metrics import PartReading
from dashboards.page.snapshot import Snapshots
from fraudsim.log import topics
from fraudsim.log.events import Decision, Label, LogPrefix, RunControl, Stamps, Transaction, Truth, encoder
from fraudsim.settings import Settings
from producers.labels.consequences import Consequences
from runner.line.parts import PARTS
from scorer.http.protocol import BoundedProtocol
from stream_features.catalogue.features import HASH, NAMES
from testing.samples.log import T0, make_segment

KEY = "k3y"


def record(topic, offset, event, partition=0, at_ms=None):
    value = event if isinstance(event, bytes | None) else encoder.encode(event)
    return topic, SimpleNamespace(
        partition=partition, offset=offset, value=value, headers=(),
        timestamp=round(time.time() * 1000) - 2000 if at_ms is None else at_ms,
    )  # fmt: skip


def transaction(offset, tx_id=None, partition=0):
    tx_id = tx_id or f"t{offset}"
    event = Transaction(tx_id=tx_id, ts=T0 + offset, card_id=f"c{offset}", amount_cents=100)
    return record(topics.TRANSACTIONS, offset, event, partition)


def decision(offset, **changes):
    """A decision on the transaction at this offset, 20 ms after its intended send."""
    at_ms = round(time.time() * 1000) - 2000
    sent_us = (at_ms - 20) * 1000
    fields = {
        "tx_id": f"t{offset}", "ts": T0 + offset, "card_id": f"c{offset}", "amount_cents": 10_000,
        "score": 0.5, "action": "approve", "reasons": [], "rule_hits": [], "model_version": "m",
        "policy_version": "p", "variant": "champion", "source_partition": 0, "source_offset": offset,
        "stamps": Stamps(intended=sent_us, received=2, state_read=3, features=4, scored=5, decided=6),
        "prefix": LogPrefix(slots={}, tail_from=[], tail_to=[]), "features": [None] * len(NAMES),
        "feature_hash": HASH, "channel": "ecommerce", "staleness_ms": 1.0,
    }  # fmt: skip
    return record(topics.DECISIONS, offset, Decision(**{**fields, **changes}), at_ms=at_ms)


def truth(offset, typology="card_testing", campaign="campaign-1", tx_id=None):
    event = Truth(tx_id=tx_id or f"t{offset}", is_fraud=True, typology=typology, campaign_id=campaign)
    return record(topics.TRUTH, offset, event)


def label(offset, cents=10_000, is_fraud=True, tx_id=None):
    event = Label(
        tx_id=tx_id or f"t{offset}", card_id=f"c{offset}", ts=T0 + offset, amount_cents=cents,
        is_fraud=is_fraud, source="chargeback", known_at=T0 + 1000,
    )  # fmt: skip
    return record(topics.LABELS, offset, event)


def control(offset, kind, control_id="c1", **fields):
    event = RunControl(control_id=control_id, kind=kind, ts=T0 + offset, **fields)
    return record(topics.CONTROL, offset, event)


def state_of(*records, later_s=60.0):
    """The state after these records, when the truth has been waited for."""
    state = RunState(Consequences(), seed=7, cards=1000)
    add(state, record(topics.CLOCK, 0, make_segment(speed=2720.0)), *records)
    state.advance(later_s)
    return state


def add(state, *records):
    """Add records as polls bring them: those of a topic that follow each other at once."""
    for topic, together in groupby(records, key=itemgetter(0)):
        state.add_records(topic, [record for _, record in together], 0.0)


class Readings:
    """Stands for `PartMetrics`: what every part says."""

    def __init__(self, **statuses):
        self.redis_problem = ""
        self.readings = {
            part.name: PartReading(part.name, statuses.get(part.name, "up"), cpu=0.1, lag=3) for part in PARTS
        }


class Client:
    """A client that sends nothing but what it is told to."""

    def __init__(self, port):
        self.port = port

    def get(self, path, method="GET", key=KEY, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        joint = "&" if "?" in path else "?"
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, f"{path}{joint}key={key}" if key else path, body, headers=names)
        reply = connection.getresponse()
        body = reply.read().decode()
        connection.close()
        return SimpleNamespace(status=reply.status, headers=dict(reply.getheaders()), body=body)

    @contextmanager
    def events(self, truth="on"):
        """The reply's status, and (name, data) of each event."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", f"/events?truth={truth}&key={KEY}")
        reply = connection.getresponse()

        def events():
            name = ""
            while line := reply.readline().decode().rstrip("\n"):
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    yield name, json.loads(line.removeprefix("data: "))
                    reply.readline()
                elif line.startswith("retry: "):
                    reply.readline()

        try:
            yield reply.status, events()
        finally:
            connection.close()


@contextmanager
def served(state, *, problem="", with_truth=True, readings=None, token=None, run=None, settings=None):
    """A client of the page of a state, which takes controls if there is a token."""
    feed = SimpleNamespace(state=state, problem=problem, note="", null_ms={}, unread=0)
    settings = settings or Settings(_env_file=None)
    desk = ControlDesk(settings, feed, token, run) if token else None
    page = PageApp(settings, KEY, feed, Snapshots(feed, readings or Readings()), with_truth, desk)
    server = uvicorn.Server(
        uvicorn.Config(
            page.app, port=0, http=BoundedProtocol, ws="none", lifespan="off", log_level="critical",
            timeout_graceful_shutdown=0,
        )
    )  # fmt: skip

    async def serve():
        import asyncio

        sending = asyncio.create_task(page.broadcast.run())
        await server.serve()
        sending.cancel()

    def run():
        import asyncio

        asyncio.run(serve())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    client = Client(server.servers[0].sockets[0].getsockname()[1])
    client.page, client.feed = page, feed
    try:
        yield client
    finally:
        server.should_exit = True
        thread.join(10)
