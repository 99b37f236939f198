"""Assignment of slots to workers, by Kafka's group protocol on an empty topic with one partition per slot."""

from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

from fraudsim.log.topics import SLOTS
from fraudsim.settings import Settings

GROUP = "features"


class SlotAssignment(ConsumerRebalanceListener):
    """This worker's membership in the group; calls `on_change` with its slots after every rebalance.

    A worker is a static member under its name, so one that dies and comes back gets its slots at once.
    """

    def __init__(self, settings: Settings, on_change: Callable[[frozenset[int]], None]) -> None:
        self._on_change = on_change
        self._settings = settings
        self.consumer: Any = None

    async def start(self) -> None:
        self.consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka_bootstrap,
            group_id=GROUP,
            group_instance_id=self._settings.worker_name,
            client_id=self._settings.worker_name,
            partition_assignment_strategy=(RoundRobinPartitionAssignor,),
            session_timeout_ms=self._settings.session_timeout_ms,
            heartbeat_interval_ms=self._settings.session_timeout_ms // 5,
            enable_auto_commit=False,
            auto_offset_reset="latest",
        )
        self.consumer.subscribe([SLOTS], listener=self)
        await self.consumer.start()

    async def stay_in_group(self) -> None:
        """Poll for ever: the protocol requires polls, even of an empty topic."""
        while True:
            await self.consumer.getmany(timeout_ms=1_000)

    async def stop(self) -> None:
        await self.consumer.stop()

    def on_partitions_revoked(self, revoked: Any) -> None:
        """Nothing to stop: the fence refuses writes to slots that another worker has taken over."""

    def on_partitions_assigned(self, assigned: Any) -> None:
        # There is nothing to fetch, and a waiting fetch would delay every request on its connection.
        self.consumer.pause(*assigned)
        self._on_change(frozenset(tp.partition for tp in assigned))
