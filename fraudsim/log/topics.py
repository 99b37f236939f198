"""The topics of a run: names, partitions, configuration. Creating them is idempotent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fraudsim.errors import FraudsimError
from fraudsim.polling import poll_until
from fraudsim.settings import Settings, variable

TRANSACTIONS: Final = "transactions"
LABELS: Final = "labels"
DECISIONS: Final = "decisions"
TRUTH: Final = "truth"
DEAD_LETTERS: Final = "transactions.dlq"
CLOCK: Final = "run.clock"
SLOTS: Final = "features.slots"

NULL: Final = "null."
"""Prefix of the topics of the null pipeline: the same schedule and sender through a bare relay."""

SEEN_S: Final = 10.0
"""How long a topic that somebody else has just created may take to be shown."""
STAMP: Final = "message.timestamp.type"
STAMPED: Final = (TRANSACTIONS, LABELS, DECISIONS, CLOCK)
"""Topics whose broker timestamps decide: what counts, which segment is in force, how fresh the state is."""

ARCHIVED: Final = (TRANSACTIONS, LABELS, DECISIONS, CLOCK, TRUTH, DEAD_LETTERS)


@dataclass(frozen=True)
class Topic:
    """A topic as it must be; every one stamps records with the broker's append time."""

    name: str
    partitions: int
    config: dict[str, str] = field(default_factory=dict)
    setting: str = ""
    """The field of the settings that gives the number of partitions; empty where it is fixed."""


def topics(settings: Settings, prefix: str = "") -> tuple[Topic, ...]:
    """Every topic of a run, each name after `prefix`. The log is kept for ever: it is the run."""
    config = {
        STAMP: "LogAppendTime",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "max.message.bytes": str(1024 * 1024),
    }
    shared = [
        Topic(prefix + name, settings.partitions, config, "partitions")
        for name in (TRANSACTIONS, LABELS, DECISIONS, TRUTH)
    ]
    single = [Topic(prefix + name, 1, config) for name in (DEAD_LETTERS, CLOCK)]
    return (*shared, *single, Topic(prefix + SLOTS, settings.slots, config, "slots"))


def create_topics(settings: Settings, prefix: str = "") -> None:
    """Create what is missing and check what is there.

    Raises:
        FraudsimError: an existing topic has another number of partitions than the settings say, or does not
            stamp its records with the broker's append time.
    """
    from kafka.admin import KafkaAdminClient

    admin = KafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap.split(","))
    missing: list[Topic] = []

    def are_there() -> bool:
        nonlocal missing
        missing = _checked(admin, topics(settings, prefix), prefix)
        return not missing or _created(admin, missing, settings.replication)

    try:
        if not poll_until(are_there, SEEN_S, every_s=0.1):
            names = ", ".join(topic.name for topic in missing)
            raise FraudsimError(f"Kafka neither shows nor creates {names}: see the broker's log")
    finally:
        admin.close()


def _checked(admin: Any, wanted: Sequence[Topic], prefix: str) -> list[Topic]:
    """The topics that are missing, once those that exist have been checked."""
    existing = {t["name"]: len(t["partitions"]) for t in admin.describe_topics()}
    check_partitions(wanted, existing)
    check_stamps(_stamps(admin, [prefix + name for name in STAMPED if prefix + name in existing]))
    return [topic for topic in wanted if topic.name not in existing]


def _created(admin: Any, missing: Sequence[Topic], replication: int) -> bool:
    """Create topics; False where somebody else was first with one: it is not shown yet, and not checked."""
    from kafka.admin import NewTopic
    from kafka.errors import TopicAlreadyExistsError

    try:
        admin.create_topics(
            [NewTopic(t.name, t.partitions, replication, topic_configs=t.config) for t in missing]
        )
    except TopicAlreadyExistsError:
        return False
    return True


def check_partitions(wanted: Sequence[Topic], existing: Mapping[str, int]) -> None:
    """That topics which exist, by name, have their number of partitions.

    Raises:
        FraudsimError: one has not; the message names it, the setting and both numbers.
    """
    for topic in wanted:
        have = existing.get(topic.name, topic.partitions)
        if have == topic.partitions:
            continue
        if topic.setting:
            must, step = f"{variable(topic.setting)} is {topic.partitions}", "set it to match"
        else:
            must, step = f"it must have {topic.partitions}", "delete it"
        raise FraudsimError(
            f"topic {topic.name} has {have} partitions, {must}: {step}, or start on an empty Kafka"
        )


def check_stamps(stamps: Mapping[str, str]) -> None:
    """That topics, by name, take the broker's append time.

    Raises:
        FraudsimError: one does not; the message names it and how to change it.
    """
    for name, kind in stamps.items():
        if kind != "LogAppendTime":
            raise FraudsimError(
                f"topic {name} has {STAMP}={kind}, it must be LogAppendTime: while it is empty, run "
                f"`kafka-configs.sh --alter --topic {name} --add-config {STAMP}=LogAppendTime`, "
                "else start on an empty Kafka"
            )


def _stamps(admin: Any, names: Sequence[str]) -> dict[str, str]:
    """The kind of timestamp of each topic."""
    from kafka.admin import ConfigResource, ConfigResourceType

    if not names:
        return {}
    asked = [ConfigResource(ConfigResourceType.TOPIC, name, [STAMP]) for name in names]
    found = admin.describe_configs(asked, config_filter="all")["topic"]
    return {name: found[name][STAMP]["value"] for name in names}
