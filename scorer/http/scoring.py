"""Scoring of HTTP requests, single or in batches: validate, claim, decide, store for repeats, publish."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from aiokafka.errors import KafkaError

from fraudsim import metrics
from fraudsim.log.events import MAX_EVENT_BYTES, Decision, Transaction, encoder
from scorer.context import ScorerContext
from scorer.decide import Decider, Incoming, PrefetchedState, now_us
from scorer.http.problems import Problem, problem
from scorer.http.publisher import HttpPublisher
from scorer.http.score_request import (
    Received,
    ScoreResult,
    ValidRequest,
    conflict,
    in_flight_full,
    read_transaction,
    repeat_result,
)
from scorer.idempotency.claims import Claim, same_body
from scorer.idempotency.idempotency import Idempotency
from scorer.observe import observe
from scorer.resilience.budget import Budget
from scorer.resilience.micro_batch import MicroBatcher
from stream_features.online.in_flight import InFlight, InFlightFullError

CLAIM_WAIT_S: Final = 1.0
"""Longest wait for another request's decision on the same tx_id."""
SLICE: Final = 32
"""Transactions handled as one: a micro-batch of single requests, or the part of a batch after which the event
loop is yielded."""
PREFETCH_LINGER_S: Final = 0.001
"""Longest that the read of the state waits to be sent with the claims, which follow at once."""
MAX_DECISION_BYTES: Final = MAX_EVENT_BYTES - 64
"""A larger header would make the record a dead letter; its offset is added when it is read back."""
STORE_LINGER_S: Final = 0.002
"""Longest that storing a decision for other processes waits for other Redis commands, as the next claims."""

Reply = tuple[ValidRequest, Decision, bytes]
"""A request, its decision, and that as JSON."""
DecidedPairs = list[tuple[Transaction, Decision]]


class HttpScoring:
    """Scores transactions, each with a result of its own."""

    def __init__(
        self,
        context: ScorerContext,
        decider: Decider,
        in_flight: InFlight,
        producer: Any,
        idempotency: Idempotency,
        on_decided: Callable[[Transaction, Decision], None],
    ) -> None:
        """`on_decided` is called with each decision as its reply goes out; it must not block."""
        settings = context.settings
        self._acked = settings.http_durability == "acked"
        self._deadline_s = settings.deadline_ms / 1000
        self._decider = decider
        self._in_flight = in_flight
        self._clock_log = context.clock_log
        self._on_decided = on_decided
        self.idempotency = idempotency
        self._publisher = HttpPublisher(producer, in_flight, context.log)
        self._single_requests = MicroBatcher(self._score_singles, SLICE)
        self._background_tasks: set[asyncio.Task[None]] = set()

    async def drain(self) -> None:
        """Wait until every decision that was replied is in the log."""
        while self._background_tasks:
            await asyncio.gather(*self._background_tasks, return_exceptions=True)
        await self.idempotency.drain()

    async def score(self, received: Received, budget: Budget) -> ScoreResult:
        """The result of a single request. Raises FraudsimError as `score_batch` does."""
        result = await self._single_requests.submit((received, budget))
        return await self._await_other_claim(result) if isinstance(result, ValidRequest) else result

    async def score_batch(self, received: Sequence[Received], budget: Budget) -> list[ScoreResult]:
        """The results of a batch, in order. Raises FraudsimError where the state is another log's."""
        results = await self._score_received(received, budget)
        claimed_elsewhere = [result for result in results if isinstance(result, ValidRequest)]
        awaited = iter(await asyncio.gather(*map(self._await_other_claim, claimed_elsewhere)))
        return [next(awaited) if isinstance(result, ValidRequest) else result for result in results]

    async def _score_singles(
        self, singles: Sequence[tuple[Received, Budget]]
    ) -> list[ScoreResult | ValidRequest]:
        """The results of a micro-batch; the earliest request, with the least time left, sets its budget."""
        budget = min((budget for _, budget in singles), key=lambda budget: budget.started_s)
        return await self._score_received([received for received, _ in singles], budget)

    async def _score_received(
        self, received: Sequence[Received], budget: Budget
    ) -> list[ScoreResult | ValidRequest]:
        """Results in order; a request whose tx_id another request is deciding is returned to be awaited."""
        segment, dequeued_us = self._clock_log.clock.current, now_us()
        results: dict[int, ScoreResult | ValidRequest] = {}
        first_by_id: dict[str, ValidRequest] = {}
        repeats: list[ValidRequest] = []
        for index, item in enumerate(received):
            if index and index % SLICE == 0:
                await asyncio.sleep(0)
            tx = read_transaction(item, segment)
            if isinstance(tx, Problem):
                results[index] = tx
                continue
            claim = Claim.of(tx.tx_id, item.body)
            request = ValidRequest(index, tx, item.received_us, segment, claim, dequeued_us)
            if tx.tx_id in first_by_id:
                repeats.append(request)
            else:
                first_by_id[tx.tx_id] = request
        distinct = [*first_by_id.values()]
        decided: DecidedPairs = []
        for start in range(0, len(distinct), SLICE):
            slice_budget = budget
            if len(distinct) > SLICE:
                await asyncio.sleep(0)
                slice_budget = budget.remainder(time.monotonic(), self._deadline_s)
            results |= await self._score_distinct(distinct[start : start + SLICE], slice_budget, decided)
        for request in repeats:
            first = first_by_id[request.tx.tx_id]
            same = same_body(first.claim, request.claim)
            results[request.index] = results[first.index] if same else conflict(request.tx.tx_id)
        self._notify_decided(decided)
        return [results[index] for index in range(len(received))]

    def _notify_decided(self, decided: DecidedPairs) -> None:
        """Call `on_decided` in a later turn of the event loop, after the callers awaiting these results."""

        def notify() -> None:
            for tx, decision in decided:
                self._on_decided(tx, decision)

        asyncio.get_running_loop().call_soon(notify)

    async def _score_distinct(
        self, requests: list[ValidRequest], budget: Budget, decided: DecidedPairs
    ) -> dict[int, ScoreResult | ValidRequest]:
        """Results by index; what is decided here is added to `decided`."""
        results: dict[int, ScoreResult | ValidRequest] = {}
        admitted = []
        for request in requests:
            try:
                self._in_flight.check_room(request.tx)  # refused before it costs anything
                admitted.append(request)
            except InFlightFullError as error:
                results[request.index] = in_flight_full(error)
        claimed = []
        # Few are repeats: the state is read together with the claim, not after it.
        transactions = [request.tx for request in admitted]
        prefetched_state = self._decider.prefetch(transactions, PREFETCH_LINGER_S) if admitted else None
        prior_claims = await self.idempotency.claim_all(
            [request.claim for request in admitted], budget.claim_by_s
        )
        for request, prior in zip(admitted, prior_claims, strict=True):
            if prior is None:
                claimed.append(request)
            elif prior.same_body and prior.decision is None:
                results[request.index] = request
            else:
                results[request.index] = repeat_result(request, prior)
        return results | await self._decide(claimed, budget, decided, prefetched_state)

    async def _await_other_claim(self, request: ValidRequest) -> ScoreResult:
        """Wait for another request's decision on the same tx_id; decide here if its claim is released."""
        deadline_s = time.monotonic() + CLAIM_WAIT_S
        while time.monotonic() < deadline_s:
            await asyncio.sleep(0.01)
            (prior,) = await self.idempotency.claim_all([request.claim], deadline_s)
            if prior is None:
                decided: DecidedPairs = []
                new_budget = Budget(time.monotonic(), self._deadline_s)
                results = await self._decide([request], new_budget, decided)
                self._notify_decided(decided)
                return results[request.index]
            if prior.decision is not None or not prior.same_body:
                return repeat_result(request, prior)
        return problem("try-later", f"tx_id {request.tx.tx_id} is still being decided", "tx_id")

    async def _decide(
        self,
        requests: list[ValidRequest],
        budget: Budget,
        decided: DecidedPairs,
        prefetched_state: PrefetchedState | None = None,
    ) -> dict[int, ScoreResult]:
        """Decide requests whose tx_id is claimed here, store and publish; results by index."""
        results: dict[int, ScoreResult] = {}
        accepted: list[ValidRequest] = []
        for request in requests:
            try:
                self._in_flight.accept(request.tx)
                accepted.append(request)
            except InFlightFullError as error:
                results[request.index] = in_flight_full(error)
                await self.idempotency.release(request.claim)
        if not accepted:
            return results
        unpublished = {request.index: request for request in accepted}
        try:
            incoming = [
                Incoming(request.tx, request.received_us, dequeued_us=request.dequeued_us)
                for request in accepted
            ]
            decisions = await self._decider.decide(incoming, "http", budget.features_by_s, prefetched_state)
            replies = [
                (request, decision, encoder.encode(decision))
                for request, decision in zip(accepted, decisions, strict=True)
            ]
            replies = _that_fit(replies, results)
            if self._acked:
                replies = await self._publish_all(replies, results, unpublished, budget)
            for request, _, _ in replies:
                del unpublished[request.index]
        finally:
            for request in unpublished.values():
                self._in_flight.drop(request.tx)
                await self.idempotency.release(request.claim)
        claimed_in_redis, claimed_locally = self.idempotency.store_locally(
            [(request.claim, body) for request, _, body in replies]
        )
        if self._acked:
            await self.idempotency.store_in_redis(claimed_in_redis, claimed_locally, budget.deadline_s)
        else:
            self._run_in_background(
                self.idempotency.store_in_redis(
                    claimed_in_redis, claimed_locally, budget.deadline_s, STORE_LINGER_S
                )
            )
        for request, decision, body in replies:
            observe(decision, request.segment.speed)
            results[request.index] = body
            decided.append((request.tx, decision))
            if not self._acked:
                self._run_in_background(self._publish(request, body))
        return results

    async def _publish_all(
        self,
        replies: list[Reply],
        results: dict[int, ScoreResult],
        unpublished: dict[int, ValidRequest],
        budget: Budget,
    ) -> list[Reply]:
        """The replies that the log acknowledged in time; `results` gets a try-later problem for the others.

        Those that may still be acknowledged keep their claims, and leave `unpublished`.
        """
        sends = [asyncio.create_task(self._publish(request, body)) for request, _, body in replies]
        if sends:
            await asyncio.wait(sends, timeout=max(0.0, budget.deadline_s - time.monotonic()))
        published = []
        for reply, send in zip(replies, sends, strict=True):
            request, _, body = reply
            if not send.done():
                reason = "the log did not acknowledge in time; a repeat gets this decision if it still does"
                results[request.index] = problem("try-later", reason, "service")
                metrics.SHED.labels("ack_late").inc()
                del unpublished[request.index]
                self._run_in_background(self._await_late_ack(send, request, body))
            elif (error := send.exception()) is None:
                published.append(reply)
            elif isinstance(error, KafkaError):
                results[request.index] = problem("try-later", "the log cannot be reached", "service")
            else:
                raise error
        return published

    async def _await_late_ack(self, send: asyncio.Task[None], request: ValidRequest, body: bytes) -> None:
        """Store the decision for repeats once it is in the log; free its claim if it does not get there."""
        try:
            await send
        except KafkaError:
            await self.idempotency.release(request.claim)
            return
        in_redis, locally = self.idempotency.store_locally([(request.claim, body)])
        # As late ones: the claim may have expired, and another request's is left alone.
        await self.idempotency.store_in_redis([], in_redis + locally, time.monotonic())

    async def _publish(self, request: ValidRequest, decision: bytes) -> None:
        await self._publisher.publish(request.tx, request.segment, request.received_us, decision)

    def _run_in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background_tasks.add(task)
        task.add_done_callback(self._background_tasks.discard)


def _that_fit(replies: Sequence[Reply], results: dict[int, ScoreResult]) -> list[Reply]:
    """The replies that the log can hold; `results` gets a try-later problem for the others."""
    fitting = []
    for reply in replies:
        request, _, body = reply
        if len(body) <= MAX_DECISION_BYTES:
            fitting.append(reply)
        else:
            metrics.SHED.labels("pending").inc()
            reason = "the transactions of its keys that wait to be read back do not fit into a decision"
            results[request.index] = problem("try-later", reason, "service")
    return fitting
