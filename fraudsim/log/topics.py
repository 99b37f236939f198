"""The topics of a run: names, partitions and configuration, and their idempotent creation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fraudsim.errors import FraudsimError
from fraudsim.log.brokers import check_reachable
from fraudsim.polling import poll_until
from fraudsim.settings import Settings, variable

TRANSACTIONS: Final = "transactions"
LABELS: Final = "labels"
DECISIONS: Final = "decisions"
LAGGED_DECISIONS: Final = "decisions.lagged"
"""Of a scorer beside the line, whose features lag: nobody acts on them, and they are not archived."""
TRUTH: Final = "truth"
DEAD_LETTERS: Final = "transactions.dlq"
CLOCK: Final = "run.clock"
CONTROL: Final = "run.control"
SLOTS: Final = "features.slots"

NULL: Final = "null."
"""Prefix of the topics of the null pipeline: the same schedule and sender through a bare relay."""

VISIBLE_WITHIN_S: Final = 10.0
"""How long a topic that another process has just created may take until the broker lists it."""
TIMESTAMP_TYPE: Final = "message.timestamp.type"
COMPRESSION: Final = "compression.type"
BYTES: Final = "max.message.bytes"
ALTERED: Final = (COMPRESSION, BYTES)
"""Settings that are put right on topics that exist: they say nothing about the records that are there."""
STAMPED: Final = (TRANSACTIONS, LABELS, DECISIONS, CLOCK)
"""Topics whose broker timestamps decide acceptance, the segment in force and the freshness of the state."""

ARCHIVED: Final = (TRANSACTIONS, LABELS, DECISIONS, CLOCK, CONTROL, TRUTH, DEAD_LETTERS)


@dataclass(frozen=True)
class Topic:
    """The required form of a topic. Every topic stamps its records with the broker's append time."""

    name: str
    partitions: int
    config: dict[str, str] = field(default_factory=dict)
    setting: str = ""
    """The settings field that gives the number of partitions; empty if the number is fixed."""


def topics(settings: Settings, prefix: str = "") -> tuple[Topic, ...]:
    """Every topic of a run, with `prefix` before each name. Retention is unlimited: the log is the run."""
    config = {
        TIMESTAMP_TYPE: "LogAppendTime",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        BYTES: str(1024 * 1024),
        # As it was sent. To store it otherwise, the broker would hold every record of a batch in its heap:
        # half a megabyte that unpacks to 500 ends it. Our readers unpack within bounds.
        COMPRESSION: "producer",
    }
    shared = [
        Topic(prefix + name, settings.partitions, config, "partitions")
        for name in (TRANSACTIONS, LABELS, DECISIONS, LAGGED_DECISIONS, TRUTH)
    ]
    single = [Topic(prefix + name, 1, config) for name in (DEAD_LETTERS, CLOCK, CONTROL)]
    return (*shared, *single, Topic(prefix + SLOTS, settings.slots, config, "slots"))


def create_topics(settings: Settings, prefix: str = "") -> list[str]:
    """Create the missing topics, check the existing ones, and put right what can be.

    Returns what was put right, a sentence for each setting and topic.

    Raises:
        FraudsimError: an existing topic has another number of partitions than the settings say, or does not
            stamp its records with the broker's append time; or no broker can be reached.
    """
    from kafka.admin import KafkaAdminClient

    check_reachable(settings.kafka_bootstrap)
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap.split(","))
    missing: list[Topic] = []
    altered: dict[str, None] = {}  # in this order, each once: the broker may show the old value a while

    def all_exist() -> bool:
        nonlocal missing
        required = topics(settings, prefix)
        missing = _check_existing(admin, required, prefix)
        changes = _put_right(admin, [t for t in required if t not in missing])
        altered.update(dict.fromkeys(changes))
        return not changes and (not missing or _create(admin, missing, settings.replication))

    try:
        if not poll_until(all_exist, VISIBLE_WITHIN_S, every_s=0.1):
            names = ", ".join(topic.name for topic in missing) or "what was put right"
            raise FraudsimError(f"Kafka neither lists nor creates {names}: see the broker's log")
        return [*altered]
    finally:
        admin.close()


def _check_existing(admin: Any, required: Sequence[Topic], prefix: str) -> list[Topic]:
    """Check the topics that exist; returns those that are missing."""
    existing = {t["name"]: len(t["partitions"]) for t in admin.describe_topics()}
    check_partitions(required, existing)
    stamped = [prefix + name for name in STAMPED if prefix + name in existing]
    timestamp_types = _configs(admin, stamped, [TIMESTAMP_TYPE])
    check_timestamp_types({name: values[TIMESTAMP_TYPE] for name, values in timestamp_types.items()})
    return [topic for topic in required if topic.name not in existing]


def _create(admin: Any, missing: Sequence[Topic], replication: int) -> bool:
    """Create topics. False if another process created one first: it is not listed yet and not checked."""
    from kafka.admin import NewTopic
    from kafka.errors import TopicAlreadyExistsError

    try:
        admin.create_topics(
            [NewTopic(t.name, t.partitions, replication, topic_configs=t.config) for t in missing]
        )
    except TopicAlreadyExistsError:
        return False
    return True


def check_partitions(required: Sequence[Topic], existing: Mapping[str, int]) -> None:
    """Check the number of partitions of the topics that exist, given by name.

    Raises:
        FraudsimError: a number differs; the message names the topic, the setting and both numbers.
    """
    for topic in required:
        partitions = existing.get(topic.name, topic.partitions)
        if partitions == topic.partitions:
            continue
        if topic.setting:
            requirement, step = f"{variable(topic.setting)} is {topic.partitions}", "set it to match"
        else:
            requirement, step = f"it must have {topic.partitions}", "delete it"
        raise FraudsimError(
            f"topic {topic.name} has {partitions} partitions, {requirement}: {step}, "
            "or start on an empty Kafka"
        )


def check_timestamp_types(timestamp_types: Mapping[str, str]) -> None:
    """Check that topics, given by name, stamp records with the broker's append time.

    Raises:
        FraudsimError: one does not; the message names it and how to change it.
    """
    for name, timestamp_type in timestamp_types.items():
        if timestamp_type != "LogAppendTime":
            raise FraudsimError(
                f"topic {name} has {TIMESTAMP_TYPE}={timestamp_type}, it must be LogAppendTime: while it is "
                f"empty, run `kafka-configs.sh --alter --topic {name} "
                f"--add-config {TIMESTAMP_TYPE}=LogAppendTime`, else start on an empty Kafka"
            )


def _put_right(admin: Any, required: Sequence[Topic]) -> list[str]:
    """Alter the settings `ALTERED` where they differ."""
    from kafka.admin import ConfigResource, ConfigResourceType

    actual = _configs(admin, [topic.name for topic in required], ALTERED)
    altered: list[str] = []
    for topic in required:
        differing = {
            key: topic.config[key] for key in ALTERED if actual[topic.name][key] != topic.config[key]
        }
        if differing:
            resource = ConfigResource(ConfigResourceType.TOPIC, topic.name, differing)
            result = admin.alter_configs([resource])["topic"][topic.name]
            if result != "OK":
                raise FraudsimError(f"topic {topic.name}: {differing} cannot be set: {result}")
            altered += [
                f"topic {topic.name}: {key} was {actual[topic.name][key]}, is now {value}"
                for key, value in differing.items()
            ]
    return altered


def _configs(admin: Any, names: Sequence[str], keys: Sequence[str]) -> dict[str, dict[str, str]]:
    """Settings of topics, in force, by topic and key."""
    from kafka.admin import ConfigResource, ConfigResourceType

    if not names:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, list(keys)) for name in names]
    configs = admin.describe_configs(resources, config_filter="all")["topic"]
    return {name: {key: configs[name][key]["value"] for key in keys} for name in names}
