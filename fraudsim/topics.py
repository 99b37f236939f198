"""The topics of a run: names, partitions, configuration. Creating them is idempotent."""

from dataclasses import dataclass, field
from typing import Final

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings

TRANSACTIONS: Final = "transactions"
LABELS: Final = "labels"
DECISIONS: Final = "decisions"
TRUTH: Final = "truth"
DEAD_LETTERS: Final = "transactions.dlq"
CLOCK: Final = "run.clock"
SLOTS: Final = "features.slots"

NULL: Final = "null."
"""Prefix of the topics of the null pipeline: the same schedule and sender through a bare relay."""

ARCHIVED: Final = (TRANSACTIONS, LABELS, DECISIONS, CLOCK, TRUTH, DEAD_LETTERS)


@dataclass(frozen=True)
class Topic:
    """A topic as it must be; every one stamps records with the broker's append time."""

    name: str
    partitions: int
    config: dict[str, str] = field(default_factory=dict)


def topics(settings: Settings, prefix: str = "") -> tuple[Topic, ...]:
    """Every topic of a run, each name after `prefix`. The log is kept for ever: it is the run."""
    config = {
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "max.message.bytes": str(1024 * 1024),
    }
    counts = {
        TRANSACTIONS: settings.partitions,
        LABELS: settings.partitions,
        DECISIONS: settings.partitions,
        TRUTH: settings.partitions,
        DEAD_LETTERS: 1,
        CLOCK: 1,
        SLOTS: settings.slots,
    }
    return tuple(Topic(prefix + name, partitions, config) for name, partitions in counts.items())


def create_topics(settings: Settings, prefix: str = "") -> None:
    """Create what is missing and check what is there.

    Raises:
        FraudsimError: an existing topic has another number of partitions than the settings say.
    """
    from kafka.admin import KafkaAdminClient, NewTopic
    from kafka.errors import TopicAlreadyExistsError

    wanted = topics(settings, prefix)
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap.split(","))
    try:
        existing = {t["name"]: len(t["partitions"]) for t in admin.describe_topics()}
        for topic in wanted:
            have = existing.get(topic.name)
            if have is not None and have != topic.partitions:
                raise FraudsimError(
                    f"topic {topic.name} has {have} partitions, the settings say {topic.partitions}: "
                    "set FRAUDSIM_PARTITIONS / FRAUDSIM_SLOTS to match, or start on an empty Kafka"
                )
        missing = [t for t in wanted if t.name not in existing]
        if missing:
            try:
                admin.create_topics(
                    [
                        NewTopic(t.name, t.partitions, settings.replication, topic_configs=t.config)
                        for t in missing
                    ]
                )
            except TopicAlreadyExistsError:  # another process of this run was first
                return
    finally:
        admin.close()
