"""Topics that exist already are checked: partitions, and the broker's append time."""

import uuid

import pytest

from fraudsim.errors import FraudsimError
from fraudsim.log.topics import CLOCK, SLOTS, STAMPED, TRANSACTIONS, create_topics, topics
from fraudsim.settings import Settings

pytestmark = pytest.mark.stack


@pytest.fixture
def settings(stack):
    return Settings(_env_file=None, kafka_bootstrap=stack.kafka_bootstrap)


@pytest.fixture
def prefix():
    return f"{uuid.uuid4().hex[:8]}."


@pytest.fixture
def create(settings):
    """Create a topic as another program might have."""
    from kafka.admin import KafkaAdminClient, NewTopic

    admin = KafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap)
    yield lambda name, partitions, **config: admin.create_topics(
        [NewTopic(name, partitions, 1, topic_configs={k.replace("_", "."): v for k, v in config.items()})]
    )
    admin.close()


def refusal(settings, prefix):
    with pytest.raises(FraudsimError) as refused:
        create_topics(settings, prefix)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_creating_again_keeps_what_is_there(settings, prefix):
    create_topics(settings, prefix)
    create_topics(settings, prefix)


def test_what_says_nothing_about_the_records_that_are_there_is_altered_and_said(settings, prefix, create):
    config = {"message_timestamp_type": "LogAppendTime", "compression_type": "uncompressed"}
    create(prefix + TRANSACTIONS, settings.partitions, **config, max_message_bytes="1048576")
    create(prefix + CLOCK, 1, **config, max_message_bytes="99999999")
    assert create_topics(settings, prefix) == [
        f"topic {prefix}transactions: compression.type was uncompressed, is now producer",
        f"topic {prefix}run.clock: compression.type was uncompressed, is now producer",
        f"topic {prefix}run.clock: max.message.bytes was 99999999, is now 1048576",
    ]
    assert create_topics(settings, prefix) == []


@pytest.mark.parametrize("name", STAMPED)
def test_a_topic_with_the_sender_s_timestamps_is_refused(settings, prefix, create, name):
    partitions = next(t.partitions for t in topics(settings) if t.name == name)
    create(prefix + name, partitions, message_timestamp_type="CreateTime")
    message = refusal(settings, prefix)
    assert f"topic {prefix + name} has message.timestamp.type=CreateTime" in message
    assert "LogAppendTime" in message
    assert "kafka-configs.sh" in message


def test_a_topic_that_leaves_timestamps_to_the_broker_s_default_is_refused(settings, prefix, create):
    create(prefix + TRANSACTIONS, settings.partitions)
    assert "message.timestamp.type=CreateTime" in refusal(settings, prefix)


@pytest.mark.parametrize(
    ("name", "requirement"),
    [
        (TRANSACTIONS, "FRAUDSIM_PARTITIONS is 4: set it to match"),
        (SLOTS, "FRAUDSIM_SLOTS is 8: set it to match"),
        (CLOCK, "it must have 1: delete it"),
    ],
)
def test_another_number_of_partitions_is_refused(settings, prefix, create, name, requirement):
    create(prefix + name, 3, message_timestamp_type="LogAppendTime")
    assert f"topic {prefix + name} has 3 partitions, {requirement}" in refusal(settings, prefix)
