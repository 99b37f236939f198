"""Assignment of slots to workers, by Kafka's group protocol on an empty topic with one partition per slot."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import InconsistentGroupProtocolError, KafkaError

from fraudsim.errors import FraudsimError
from fraudsim.log.consumer import group_member
from fraudsim.log.topics import SLOTS
from fraudsim.settings import Settings, variable

GROUP = "features"
RETRY_S: Final = 1.0


class SlotAssignment(ConsumerRebalanceListener):
    """This worker's membership in the group. Make it within a running event loop.

    A worker is a static member under its name, so one that dies and comes back gets its slots at once.
    """

    def __init__(
        self, settings: Settings, on_change: Callable[[], None], protocol: str | None = None
    ) -> None:
        """
        Args:
            on_change: called after every rebalance.
            protocol: workers that share the slots have the same; None for Faust's.
        """
        self.slots: frozenset[int] = frozenset()
        """The slots that the group has assigned to this worker."""
        self._settings = settings
        self._on_change = on_change
        self._protocol = protocol
        self._member = self._new_member()

    def _new_member(self) -> Any:
        return group_member(self._settings, GROUP, self._settings.worker_name, SLOTS, self, self._protocol)

    async def start(self) -> None:
        """Join the group.

        Raises:
            FraudsimError: workers of another engine are in it, and still when Kafka would have given up one
                that was killed as it joined: a rebalance's time and a session's, which are equal.
        """
        gone_by_s = time.monotonic() + 2.5 * self._settings.session_timeout_ms / 1000
        while True:
            try:
                await self._member.start()
            except KafkaError as error:
                await self._member.stop()
                if not _has_other_engine(error):
                    raise
                if time.monotonic() > gone_by_s:
                    raise FraudsimError(
                        "another engine folds this log, or another worker on Spark: see Kafka's group "
                        f"{GROUP}; stop it, or give this worker its --engine. Nothing was written"
                    ) from None
                await asyncio.sleep(RETRY_S)  # they may be killed ones, which Kafka still counts
                self._member = self._new_member()
            else:
                return

    async def stay_in_group(self) -> None:
        """Poll for ever: the protocol requires polls, even of an empty topic.

        Raises:
            FraudsimError: Kafka has given this worker up, and workers of another engine have come.
        """
        while True:
            try:
                await self._member.getmany(timeout_ms=1_000)
            except KafkaError as error:
                if not _has_other_engine(error):
                    raise
                limit = f"{variable('session_timeout_ms')}={self._settings.session_timeout_ms}"
                raise FraudsimError(
                    "another engine has taken this log over: Kafka had not heard from this worker for longer "
                    f"than {limit}; stop the other, or leave the log to it"
                ) from None

    async def stop(self) -> None:
        """Leave off; the group keeps the slots for a session's time."""
        await self._member.stop()

    async def log_range(self, tps: Sequence[TopicPartition]) -> tuple[list[int], list[int]]:
        """First offset that the log holds, and the offset after the last, by partition."""
        begins = await self._member.beginning_offsets(tps)
        return [begins[tp] for tp in tps], await self.log_ends(tps)

    async def log_ends(self, tps: Sequence[TopicPartition]) -> list[int]:
        """The offset after the last that the log holds, by partition."""
        ends = await self._member.end_offsets(tps)
        return [ends[tp] for tp in tps]

    def on_partitions_revoked(self, revoked: Any) -> None:
        """Nothing to stop: the fence refuses writes to slots that another worker has taken over."""

    def on_partitions_assigned(self, assigned: Any) -> None:
        # There is nothing to fetch, and a waiting fetch would delay every request on its connection.
        self._member.pause(*assigned)
        self.slots = frozenset(tp.partition for tp in assigned)
        self._on_change()


def _has_other_engine(error: KafkaError) -> bool:
    """Whether Kafka kept a member out of the group for its protocol; aiokafka may pass on the name alone."""
    return InconsistentGroupProtocolError.__name__ in f"{type(error).__name__} {error}"
