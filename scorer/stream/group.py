"""Membership in the scorers' consumer group: Kafka's protocol assigns the partitions to decide."""

from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

from fraudsim.log.topics import TRANSACTIONS
from fraudsim.settings import Settings

GROUP: Final = "scorers"


def group_member(settings: Settings, listener: ConsumerRebalanceListener) -> Any:
    """A consumer that only holds the membership, not yet started: the records come through the log reader."""
    member = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap,
        group_id=GROUP,
        group_instance_id=settings.scorer_name,
        client_id=settings.scorer_name,
        partition_assignment_strategy=(RoundRobinPartitionAssignor,),
        session_timeout_ms=settings.session_timeout_ms,
        heartbeat_interval_ms=settings.session_timeout_ms // 5,
        enable_auto_commit=False,
        auto_offset_reset="latest",
    )
    member.subscribe([TRANSACTIONS], listener=listener)
    return member
