"""Transactions asked over HTTP, one or many: checked, claimed, decided, kept for repeats, published."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import msgspec
from aiokafka.errors import KafkaError

from fraudsim import metrics
from fraudsim.log.acceptance import Rejected, read_event
from fraudsim.log.clock import event_time_ms
from fraudsim.log.clock_log import ClockLog
from fraudsim.log.events import Decision, Segment, Transaction, encoder
from fraudsim.settings import Settings
from scorer.decide import Ahead, Decider, Incoming
from scorer.http.claims import Claim, Earlier, same_body
from scorer.http.problems import Problem, problem
from scorer.http.publishing import Publishing
from scorer.http.repeats import Repeats
from scorer.http.schemas import decode_request
from scorer.observe import observe
from scorer.resilience.budget import Budget
from scorer.resilience.micro_batch import MicroBatcher
from stream_features.online.in_flight import InFlight, InFlightFullError

REPEAT_WAIT_S: Final = 1.0
"""Longest wait for another request's decision on the same tx_id."""
SLICE: Final = 32
"""Transactions handled in one go: asked singly at about the same time, or a part of a batch, after which
others have a turn."""
AHEAD_LINGER_S: Final = 0.001
"""Most that asking for the state waits for the claims, which are asked for straight after."""
KEEP_LINGER_S: Final = 0.002
"""Most that keeping a decision for other processes waits for what else Redis is asked, as the next claims."""

Outcome = bytes | Problem
"""The decision as JSON, or why there is none."""


class Received(msgspec.Struct, frozen=True, gc=False):
    """A transaction as it came."""

    body: bytes
    at_us: int
    """Wall clock."""


class _Asked(msgspec.Struct, frozen=True, gc=False):
    """One valid transaction of a request."""

    place: int
    tx: Transaction
    received_us: int
    segment: Segment
    """By which it was found valid."""
    claim: Claim


_Made = list[tuple[Transaction, Decision]]


class HttpScoring:
    """Answers transactions, each on its own."""

    def __init__(
        self,
        settings: Settings,
        decider: Decider,
        pending: InFlight,
        clock_log: ClockLog,
        producer: Any,
        repeats: Repeats,
        log: Any,
        afterwards: Callable[[Transaction, Decision], None],
    ) -> None:
        """`afterwards` is told of each decision as its reply goes out, with nothing left to wait for."""
        self._acked = settings.http_durability == "acked"
        self._deadline_s = settings.deadline_ms / 1000
        self._decider = decider
        self._pending = pending
        self._clock_log = clock_log
        self._afterwards = afterwards
        self.repeats = repeats
        self._to_log = Publishing(producer, pending, log)
        self._singles = MicroBatcher(self._answer_singles, SLICE)
        self._under_way: set[asyncio.Task[None]] = set()

    async def drain(self) -> None:
        """Wait until everything that was answered is in the log."""
        while self._under_way:
            await asyncio.gather(*self._under_way, return_exceptions=True)
        await self.repeats.drain()

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
        tx = found if found.ts else msgspec.structs.replace(found, ts=now_ms)
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
                self._pending.check_room(item.tx)  # refused before it costs anything
                with_room.append(item)
            except InFlightFullError as error:
                outcomes[item.place] = _full(error)
        ours = []
        # Most are no repeats: their state is asked for together with the claim, not after it.
        transactions = [item.tx for item in with_room]
        ahead = self._decider.prefetch(transactions, AHEAD_LINGER_S) if with_room else None
        standing = await self.repeats.claim_all([item.claim for item in with_room], budget.claim_by_s)
        for item, earlier in zip(with_room, standing, strict=True):
            if earlier is None:
                ours.append(item)
            elif earlier.same_body and earlier.decision is None:
                outcomes[item.place] = item
            else:
                outcomes[item.place] = _repeat(item, earlier)
        return outcomes | await self._decide(ours, budget, made, ahead)

    async def _decided_elsewhere(self, item: _Asked) -> Outcome:
        """The outcome of a transaction that another request decides, or this one after all."""
        deadline_s = time.monotonic() + REPEAT_WAIT_S
        while time.monotonic() < deadline_s:
            await asyncio.sleep(0.01)
            (earlier,) = await self.repeats.claim_all([item.claim], deadline_s)
            if earlier is None:
                made: _Made = []
                afresh = Budget(time.monotonic(), self._deadline_s)
                outcomes = await self._decide([item], afresh, made)
                self._tell_afterwards(made)
                return outcomes[item.place]
            if earlier.decision is not None or not earlier.same_body:
                return _repeat(item, earlier)
        return problem("try-later", f"tx_id {item.tx.tx_id} is still being decided", "tx_id")

    async def _decide(
        self, asked: list[_Asked], budget: Budget, made: _Made, ahead: Ahead | None = None
    ) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        accepted: list[_Asked] = []
        for item in asked:
            try:
                self._pending.accept(item.tx)
                accepted.append(item)
            except InFlightFullError as error:
                outcomes[item.place] = _full(error)
                await self.repeats.give_up(item.claim)
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
                self._pending.drop(item.tx)
                await self.repeats.give_up(item.claim)
        claimed, late = self.repeats.keep_here([(item.claim, body) for item, _, body in answers])
        if self._acked:
            await self.repeats.keep_in_redis(claimed, late, budget.over_s)
        else:
            self._run(self.repeats.keep_in_redis(claimed, late, budget.over_s, KEEP_LINGER_S))
        for item, decision, body in answers:
            observe(decision, item.segment.speed)
            outcomes[item.place] = body
            made.append((item.tx, decision))
            if not self._acked:
                self._run(self._publish(item, body))
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
        await self._to_log.publish(item.tx, item.segment, item.received_us, decision)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)


def _repeat(item: _Asked, earlier: Earlier) -> Outcome:
    if not earlier.same_body:
        return _conflict(item.tx.tx_id)
    assert earlier.decision is not None
    return earlier.decision


def _conflict(tx_id: str) -> Problem:
    return problem("conflict", f"tx_id {tx_id} was sent before with another body", "tx_id")


def _full(error: InFlightFullError) -> Problem:
    metrics.SHED.labels("pending").inc()
    return problem("try-later", f"{error}: the log cannot keep up", "service")
