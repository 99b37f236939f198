"""The HTTP API over fakes, for the tests beside it."""

import asyncio
import json
from types import SimpleNamespace

from aiokafka.errors import KafkaTimeoutError

from fraudsim.log.clock import Clock, LoggedSegment
from fraudsim.log.events import Decision, LogPrefix, Stamps, decode_transaction, encoder
from fraudsim.settings import Settings
from model.artefact.manifest import Fallback, Manifest, Metrics, Sample, Versions
from model.artefact.thresholds import Costs, Thresholds
from scorer.http.api import HttpApi
from scorer.http.claims import Earlier, same_body
from scorer.http.repeats import Repeats
from scorer.http.scoring import HttpScoring
from scorer.models.roles import Lineup
from scorer.resilience.dependency import Dependency
from stream_features.online.in_flight import InFlight
from stream_features.online.unfolded_log import UnfoldedLog
from testing.samples.log import make_segment


def segment(number):
    return make_segment(number=number, event_epoch_ms=0)


def decision(tx, pending=()):
    return Decision(
        tx_id=tx.tx_id, ts=tx.ts, card_id=tx.card_id, amount_cents=1, score=0.1, action="approve", reasons=[],
        rule_hits=[], model_version="1", policy_version="1", variant="champion",
        stamps=Stamps(intended=1, received=1, state_read=1, features=1, scored=1, decided=1),
        source_partition=-1, source_offset=-1,
        prefix=LogPrefix(slots={}, tail_from=[], tail_to=[], pending=list(pending)), staleness_ms=0.0,
        features=[], feature_hash="",
    )  # fmt: skip


def asked(tx_id, card="c", merchant="m", amount=1):
    return {"tx_id": tx_id, "card_id": card, "merchant_id": merchant, "amount_cents": amount}


METRICS = Metrics(
    average_precision=None, auc=None, card_precision_100=None, card_precision_100_ceiling=None, brier=0.0,
    mean_score=0.0, alert_budget=0.0, recall=None, recall_by_source={}, recall_by_group={}, cost_share=None,
    train_rows=0, test_rows=0, train_fraud_rate=0.0, test_fraud_rate=0.0, unknown_fraud_share=0.0,
    compromised_cards=0,
)  # fmt: skip
MANIFEST = Manifest(
    version="v", features=[], catalogue_hash="", feature_hash="", data_fingerprint="", train_from_ms=0,
    train_until_ms=0, test_from_ms=0, label_gap_days=0, metrics=METRICS, thresholds=Thresholds(0.1, 0.2, 0.3),
    costs=Costs(), sample=Sample(rows=[], scores=[]),
    fallback=Fallback(
        features=[], thresholds=Thresholds(0.1, 0.2, 0.3), metrics=METRICS, sample=Sample(rows=[], scores=[]),
        model_sha256="",
    ),
    versions=Versions(python="", xgboost="", numpy="", numba="", fraudsim=""), model_sha256="",
)  # fmt: skip


class Kept:
    """Idempotency in memory."""

    def __init__(self):
        self.values = {}
        self.error = None

    def _answer(self):
        if self.error:
            raise self.error

    async def claim_all(self, claims):
        self._answer()
        await asyncio.sleep(0)
        found = []
        for claim in claims:
            earlier = self.values.setdefault(claim.tx_id, (claim, None))
            found.append(None if earlier[0] is claim else Earlier(same_body(earlier[0], claim), earlier[1]))
        return found

    async def settle_all(self, settled, linger_s=0.0):
        self._answer()
        self.values |= {claim.tx_id: (claim, body) for claim, body in settled}

    async def keep(self, claim, body):
        await self.settle_all([(claim, body)])

    async def give_up(self, claim):
        self._answer()
        del self.values[claim.tx_id]

    async def stored(self, tx_id):
        self._answer()
        return self.values.get(tx_id, (None, None))[1]

    async def close(self):
        pass


class Producer:
    """A log of one partition; `away` refuses, `let` holds the acknowledgements back."""

    def __init__(self):
        self.records = []
        self.taken = 0
        self.away = False
        self.let = None

    async def send_and_wait(self, topic, value, key, headers):
        if self.away:
            raise KafkaTimeoutError()
        self.records.append((decode_transaction(value), headers))
        self.taken += 1
        offset = self.taken - 1
        if self.let is not None:
            await self.let.wait()
        return SimpleNamespace(partition=0, offset=offset)


class Bench:
    """An API over fakes."""

    def __init__(self, durability="async", **more):
        self.tail = UnfoldedLog(1, 1_000)
        self.pending = InFlight(self.tail)
        self.clock = Clock([LoggedSegment(segment(1), 0)])
        self.producer, self.kept = Producer(), Kept()
        self.decider = SimpleNamespace(decide=self.decide, prefetch=lambda *_: None)
        self.meanwhile = None
        silent = SimpleNamespace(warning=lambda *_, **__: None, error=lambda *_, **__: None)
        settings = Settings(_env_file=None, http_durability=durability, deadline_ms=2_000, **more)
        clock_log = SimpleNamespace(clock=self.clock)
        self.claims, self.state = Dependency("claims"), Dependency("state")
        self.gone_out = []
        self.scoring = HttpScoring(
            settings, self.decider, self.pending, clock_log, self.producer, Repeats(self.kept, self.claims),
            silent, lambda tx, decision: self.gone_out.append(tx.tx_id),
        )  # fmt: skip
        self.decided = 0
        self.batches = []
        champion = SimpleNamespace(manifest=MANIFEST, kind="full", metrics=METRICS)
        self.served = SimpleNamespace(lineup=Lineup(champion), previous=None)
        self.shadows = SimpleNamespace(tallies={}, dropped=0)
        self.api = HttpApi(
            settings, self.scoring, clock_log, self.served, self.shadows, self.state, lambda: True, silent
        )

    async def decide(self, incoming, via, until_s, ahead=None):
        if self.meanwhile is not None:
            self.meanwhile()
        self.batches.append(len(incoming))
        return [decision(item.tx) for item in incoming]

    def read_log(self, offset, tx_id=""):
        self.tail.advance(0, offset)
        self.pending.read_back(0, tx_id)

    async def ask(self, method, path, body=b"", headers=(), replies=None):
        """(status, headers, JSON)."""
        sent = [] if replies is None else replies

        async def receive():
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
            "raw_path": path.encode(), "root_path": "", "scheme": "http", "query_string": b"",
            "headers": list(headers), "client": ("test", 1), "server": ("test", 80),
        }  # fmt: skip
        await self.api.app(scope, receive, send)
        headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], headers, json.loads(sent[1]["body"])

    async def score(self, tx_id, card="c", merchant="m", amount=1):
        return await self.ask("POST", "/v1/score", encoder.encode(asked(tx_id, card, merchant, amount)))

    async def score_batch(self, transactions):
        """The results of a batch."""
        body = encoder.encode({"transactions": transactions})
        status, _, reply = await self.ask("POST", "/v1/score/batch", body)
        assert status == 200, reply
        return reply["results"]

    @property
    def waiting(self):
        return [tx.tx_id for tx in self.pending.of_key(("card", "c"))]


def refused_for_now(reply):
    status, headers, body = reply
    assert (status, headers["retry-after"], body["field"]) == (503, "1", "service")
    assert (headers["content-type"], body["status"]) == ("application/problem+json", 503)
    assert "\n" not in body["detail"]
    return body["detail"]
