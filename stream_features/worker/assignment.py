"""Assignment of slots to workers, by Kafka's group protocol on an empty topic with one partition per slot."""

from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import ConsumerRebalanceListener, TopicPartition

from fraudsim.log.consumer import group_member
from fraudsim.log.topics import SLOTS
from fraudsim.settings import Settings

GROUP = "features"


class SlotAssignment(ConsumerRebalanceListener):
    """This worker's membership in the group. Make it within a running event loop.

    A worker is a static member under its name, so one that dies and comes back gets its slots at once.
    """

    def __init__(self, settings: Settings, on_change: Callable[[], None]) -> None:
        """`on_change` is called after every rebalance."""
        self.slots: frozenset[int] = frozenset()
        """The slots that the group has assigned to this worker."""
        self._on_change = on_change
        self._member = group_member(settings, GROUP, settings.worker_name, SLOTS, self)

    async def start(self) -> None:
        """Join the group."""
        await self._member.start()

    async def stay_in_group(self) -> None:
        """Poll for ever: the protocol requires polls, even of an empty topic."""
        while True:
            await self._member.getmany(timeout_ms=1_000)

    async def stop(self) -> None:
        """Leave off; the group keeps the slots for a session's time."""
        await self._member.stop()

    async def log_range(self, tps: Sequence[TopicPartition]) -> tuple[list[int], list[int]]:
        """First offset that the log holds, and the offset after the last, by partition."""
        begins = await self._member.beginning_offsets(tps)
        ends = await self._member.end_offsets(tps)
        return [begins[tp] for tp in tps], [ends[tp] for tp in tps]

    def on_partitions_revoked(self, revoked: Any) -> None:
        """Nothing to stop: the fence refuses writes to slots that another worker has taken over."""

    def on_partitions_assigned(self, assigned: Any) -> None:
        # There is nothing to fetch, and a waiting fetch would delay every request on its connection.
        self._member.pause(*assigned)
        self.slots = frozenset(tp.partition for tp in assigned)
        self._on_change()
