"""Transactions asked over HTTP, one or many: checked, claimed, decided, kept for repeats, published."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from aiokafka.errors import KafkaError
from redis.exceptions import RedisError

from fraudsim import headers as h
from fraudsim import metrics
from fraudsim.clock import event_time_ms
from fraudsim.clock_log import ClockLog
from fraudsim.events import Decision, Segment, Transaction, encoder
from fraudsim.settings import Settings
from fraudsim.topics import TRANSACTIONS
from fraudsim.validity import Rejected, read_event
from scorer.budget import Budget
from scorer.decide import Ahead, Decider, Incoming
from scorer.dependency import AwayError, Dependency
from scorer.http_words import decode_request
from scorer.idempotency import Claim, Earlier, Idempotency, same_body
from scorer.kept_replies import KeptReplies
from scorer.observe import observe
from scorer.problems import Problem, problem
from scorer.together import Together
from stream_features.pending import PendingFullError
from stream_features.reader import FeatureReader

REPEAT_WAIT_S: Final = 1.0
"""Longest wait for another request's decision on the same tx_id."""
LATE_MOST: Final = 256
"""Decisions under way to Redis after their replies; past that they are kept here alone."""
DRAIN_LATE_S: Final = 1.0
GIVE_UP_S: Final = 0.1
SLICE: Final = 32
"""Transactions handled in one go: asked singly at about the same time, or a part of a batch, after which
others have a turn."""

_PUBLISHED: Final = metrics.TRANSACTIONS.labels("http", "ok")

Outcome = bytes | Problem
"""The decision as JSON, or why there is none."""


@dataclass(frozen=True, slots=True)
class Received:
    """A transaction as it came."""

    body: bytes
    at_us: int
    """Wall clock."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """One valid transaction of a request."""

    place: int
    tx: Transaction
    received_us: int
    segment: Segment
    """By which it was found valid."""
    claim: Claim


_Made = list[tuple[Transaction, Decision]]
_Settled = list[tuple[Claim, bytes]]


class HttpScoring:
    """Answers transactions, each on its own."""

    def __init__(
        self,
        settings: Settings,
        decider: Decider,
        reader: FeatureReader,
        clock_log: ClockLog,
        producer: Any,
        claims: Dependency,
        log: Any,
        afterwards: Callable[[Transaction, Decision], None],
    ) -> None:
        """`afterwards` is told of each decision as its reply goes out, with nothing left to wait for."""
        self._acked = settings.http_durability == "acked"
        self._deadline_s = settings.deadline_ms / 1000
        self._decider = decider
        self._reader = reader
        self._clock_log = clock_log
        self._producer = producer
        self._claims = claims
        self._log = log
        self._afterwards = afterwards
        self.idempotency = Idempotency(settings.redis_url)
        self._kept = KeptReplies()
        self._singles = Together(self._answer_singles, SLICE)
        self._publishing: set[asyncio.Task[None]] = set()
        self._late: set[asyncio.Task[None]] = set()

    async def drain(self) -> None:
        """Wait until everything that was answered is in the log."""
        while self._publishing:
            await asyncio.gather(*self._publishing, return_exceptions=True)
        if self._late:
            _, late = await asyncio.wait(self._late, timeout=DRAIN_LATE_S)
            for task in late:
                task.cancel()
        await self.idempotency.close()

    async def stored(self, tx_id: str, budget: Budget) -> bytes | None:
        """The decision kept for a tx_id. Raises AwayError."""
        kept = self._kept.stored(tx_id, time.monotonic())
        if kept is not None:
            return kept
        return await self._claims.ask(lambda: self.idempotency.stored(tx_id), budget.over_s)

    async def score(self, received: Received, budget: Budget) -> Outcome:
        """The outcome of a transaction asked by itself. Raises FraudsimError as `answer` does."""
        outcome = await self._singles.ask((received, budget))
        return await self._decided_elsewhere(outcome) if isinstance(outcome, _Asked) else outcome

    async def answer(self, received: Sequence[Received], budget: Budget) -> list[Outcome]:
        """The outcome of each of a batch, in order. Raises FraudsimError where the state is another log's."""
        outcomes = await self._answer_now(received, budget)
        waiting = [outcome for outcome in outcomes if isinstance(outcome, _Asked)]
        found = iter(await asyncio.gather(*map(self._decided_elsewhere, waiting)))
        return [next(found) if isinstance(outcome, _Asked) else outcome for outcome in outcomes]

    async def _answer_singles(self, asked: Sequence[tuple[Received, Budget]]) -> list[Outcome | _Asked]:
        """Of requests that came at about the same time; whoever came first has the least time left."""
        budget = min((budget for _, budget in asked), key=lambda budget: budget.started_s)
        return await self._answer_now([received for received, _ in asked], budget)

    async def _answer_now(self, received: Sequence[Received], budget: Budget) -> list[Outcome | _Asked]:
        """Outcomes, in order; what somebody else is deciding comes back, to be waited for."""
        segment = self._clock_log.clock.current
        outcomes: dict[int, Outcome | _Asked] = {}
        first: dict[str, _Asked] = {}
        again: list[_Asked] = []
        for place, one in enumerate(received):
            if place and place % SLICE == 0:
                await asyncio.sleep(0)
            tx = self._read(one, segment)
            if isinstance(tx, Problem):
                outcomes[place] = tx
                continue
            asked = _Asked(place, tx, one.at_us, segment, Claim.of(tx.tx_id, one.body))
            if tx.tx_id in first:
                again.append(asked)
            else:
                first[tx.tx_id] = asked
        distinct = [*first.values()]
        made: _Made = []
        for start in range(0, len(distinct), SLICE):
            part = budget
            if len(distinct) > SLICE:
                await asyncio.sleep(0)
                part = budget.from_now(time.monotonic(), self._deadline_s)
            outcomes |= await self._answer_distinct(distinct[start : start + SLICE], part, made)
        for asked in again:
            earlier = first[asked.tx.tx_id]
            same = same_body(earlier.claim, asked.claim)
            outcomes[asked.place] = outcomes[earlier.place] if same else _conflict(asked.tx.tx_id)
        self._tell_afterwards(made)
        return [outcomes[place] for place in range(len(received))]

    def _tell_afterwards(self, made: _Made) -> None:
        """Of what was decided. Whoever waits for these outcomes is woken before whoever is told now."""

        def tell() -> None:
            for tx, decision in made:
                self._afterwards(tx, decision)

        asyncio.get_running_loop().call_soon(tell)

    def _read(self, received: Received, segment: Segment) -> Transaction | Problem:
        """The transaction, if it is valid at its arrival as the judge of the log will see it."""
        found = read_event(received.body, decode_request)
        if isinstance(found, Rejected):
            return problem("not-json" if found.field == "value" else "not-valid", found.reason, found.field)
        now_ms = event_time_ms(segment, received.at_us // 1000)  # in whole ms, as the judge of the log will
        tx = Transaction(**{**msgspec.structs.asdict(found), "ts": found.ts or now_ms})
        if tx.ts - now_ms > segment.future_ms:
            ahead = f"ts={tx.ts} is {tx.ts - now_ms} ms ahead of now, more than {segment.future_ms}"
            return problem("not-valid", ahead, "ts")
        if now_ms - tx.ts > segment.past_ms:
            behind = f"ts={tx.ts} is {now_ms - tx.ts} ms behind now, more than {segment.past_ms}"
            return problem("not-valid", behind, "ts")
        return tx

    async def _answer_distinct(
        self, asked: list[_Asked], budget: Budget, made: _Made
    ) -> dict[int, Outcome | _Asked]:
        """Outcomes by place; what is decided here is added to `made`."""
        outcomes: dict[int, Outcome | _Asked] = {}
        with_room = []
        for item in asked:
            try:
                self._reader.pending.check_room(item.tx)  # refused before it costs anything
                with_room.append(item)
            except PendingFullError as error:
                outcomes[item.place] = _full(error)
        ours = []
        # Most are no repeats: their state is asked for together with the claim, not after it.
        ahead = self._decider.look_ahead([item.tx for item in with_room]) if with_room else None
        for item, earlier in zip(with_room, await self._claim(with_room, budget.claim_by_s), strict=True):
            if earlier is None:
                ours.append(item)
            elif earlier.same_body and earlier.decision is None:
                outcomes[item.place] = item
            else:
                outcomes[item.place] = _repeat(item, earlier)
        return outcomes | await self._decide(ours, budget, made, ahead)

    # Repeats

    async def _claim(self, asked: Sequence[_Asked], until_s: float) -> list[Earlier | None]:
        """What stands under each tx_id; None where it is ours now.

        Without Redis only this process's own memory settles repeats; the log's uniqueness settles the rest.
        """
        now_s = time.monotonic()
        found: dict[str, Earlier | None] = {}
        for item in asked:
            kept = self._kept.find(item.claim, now_s)
            if kept is not None:
                found[item.tx.tx_id] = kept
        claims = [item.claim for item in asked if item.tx.tx_id not in found]
        if claims:
            try:
                replies = await self._claims.ask(lambda: self.idempotency.claim_all(claims), until_s)
            except AwayError:
                now_s = time.monotonic()
                # Looked up again: another may have come meanwhile.
                replies = [self._kept.find(claim, now_s) for claim in claims]
                for claim, earlier in zip(claims, replies, strict=True):
                    if earlier is None:
                        self._kept.claim(claim, now_s)
            found |= {claim.tx_id: earlier for claim, earlier in zip(claims, replies, strict=True)}
        return [found[item.tx.tx_id] for item in asked]

    async def _decided_elsewhere(self, item: _Asked) -> Outcome:
        """The outcome of a transaction that another request decides, or this one after all."""
        deadline_s = time.monotonic() + REPEAT_WAIT_S
        while time.monotonic() < deadline_s:
            await asyncio.sleep(0.01)
            (earlier,) = await self._claim([item], deadline_s)
            if earlier is None:
                made: _Made = []
                afresh = Budget(time.monotonic(), self._deadline_s)
                outcomes = await self._decide([item], afresh, made)
                self._tell_afterwards(made)
                return outcomes[item.place]
            if earlier.decision is not None or not earlier.same_body:
                return _repeat(item, earlier)
        return problem("try-later", f"tx_id {item.tx.tx_id} is still being decided", "tx_id")

    def _keep_here(self, settled: Sequence[tuple[Claim, bytes]]) -> tuple[_Settled, _Settled]:
        """Keep decisions for repeats, should Redis go away; those claimed in Redis, and those only here."""
        claimed: _Settled = []
        late: _Settled = []
        now_s = time.monotonic()
        for claim, body in settled:
            (late if self._kept.holds(claim) else claimed).append((claim, body))
            self._kept.settle(claim, body, now_s)
        return claimed, late

    async def _keep_in_redis(self, claimed: _Settled, late: _Settled, until_s: float) -> None:
        """For every other process."""
        try:
            if claimed:
                await self._claims.ask(lambda: self.idempotency.settle_all(claimed), until_s)
        except AwayError:
            late = late + claimed
        for claim, body in late:
            if self._claims.away is None and len(self._late) < LATE_MOST:
                # It was slow, not gone: the claim may stand there, without a decision.
                self._run(self._keep_late(claim, body), self._late)

    async def _keep_late(self, claim: Claim, body: bytes) -> None:
        with contextlib.suppress(RedisError, OSError):
            await self.idempotency.keep(claim, body)

    async def _give_up(self, claim: Claim) -> None:
        self._kept.give_up(claim)
        with contextlib.suppress(AwayError):  # then it runs out by itself
            await self._claims.ask(lambda: self.idempotency.give_up(claim), time.monotonic() + GIVE_UP_S)

    # Deciding

    async def _decide(
        self, asked: list[_Asked], budget: Budget, made: _Made, ahead: Ahead | None = None
    ) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        accepted: list[_Asked] = []
        for item in asked:
            try:
                self._reader.pending.accept(item.tx)
                accepted.append(item)
            except PendingFullError as error:
                outcomes[item.place] = _full(error)
                await self._give_up(item.claim)
        if not accepted:
            return outcomes
        unpublished = {item.place: item for item in accepted}
        try:
            incoming = [Incoming(item.tx, item.received_us) for item in accepted]
            decisions = await self._decider.decide(incoming, "http", budget.features_by_s, ahead)
            answers = [
                (item, decision, encoder.encode(decision))
                for item, decision in zip(accepted, decisions, strict=True)
            ]
            if self._acked:
                answers = await self._publish_all(answers, outcomes)
            for item, _, _ in answers:
                del unpublished[item.place]
        finally:
            for item in unpublished.values():
                self._reader.pending.drop(item.tx)
                await self._give_up(item.claim)
        claimed, late = self._keep_here([(item.claim, body) for item, _, body in answers])
        keeping = self._keep_in_redis(claimed, late, budget.over_s)
        if self._acked:
            await keeping
        else:
            self._run(keeping, self._publishing)
        for item, decision, body in answers:
            observe(decision, item.segment.speed)
            outcomes[item.place] = body
            made.append((item.tx, decision))
            if not self._acked:
                self._run(self._publish(item, body), self._publishing)
        return outcomes

    async def _publish_all(
        self,
        made: list[tuple[_Asked, Decision, bytes]],
        outcomes: dict[int, Outcome],
    ) -> list[tuple[_Asked, Decision, bytes]]:
        """Those of the decisions that the log has; the others' outcome is to try again."""
        results = await asyncio.gather(
            *(self._publish(item, body) for item, _, body in made),
            return_exceptions=True,
        )
        in_log = []
        for one, result in zip(made, results, strict=True):
            if result is None:
                in_log.append(one)
            elif isinstance(result, KafkaError):
                outcomes[one[0].place] = problem("try-later", "the log cannot be reached", "service")
            else:
                raise result
        return in_log

    async def _publish(self, item: _Asked, decision: bytes) -> None:
        """One record: the transaction, with its decision as JSON in a header, so the log has both or neither.

        It names the segment it was accepted by: what the clock says by now may be another, by which the
        judge of the log could come to another verdict.
        """
        tx = item.tx
        headers = [
            (h.SEGMENT, h.encode_int(item.segment.number)),
            (h.RECEIVED, h.encode_int(item.received_us // 1000)),
            (h.DECISION, decision),
        ]
        try:
            place = await self._producer.send_and_wait(
                TRANSACTIONS, value=encoder.encode(tx), key=tx.card_id.encode(), headers=headers
            )
        except BaseException as error:
            # If the log has it all the same, it comes by the tail, as any other's record does.
            self._reader.pending.drop(tx)
            metrics.TRANSACTIONS.labels("http", "not_published").inc()
            self._log.error("http_not_published", tx_id=tx.tx_id, error=str(error))
            raise
        self._reader.pending.placed(tx, place.partition, place.offset)
        _PUBLISHED.inc()

    @staticmethod
    def _run(work: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]) -> None:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)


def _repeat(item: _Asked, earlier: Earlier) -> Outcome:
    if not earlier.same_body:
        return _conflict(item.tx.tx_id)
    assert earlier.decision is not None
    return earlier.decision


def _conflict(tx_id: str) -> Problem:
    return problem("conflict", f"tx_id {tx_id} was sent before with another body", "tx_id")


def _full(error: PendingFullError) -> Problem:
    metrics.SHED.labels("pending").inc()
    return problem("try-later", f"{error}: the log cannot keep up", "service")
