"""Readers of topics: ranges, reading to an end, gaps without a record, lag."""

import asyncio
import uuid

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaTimeoutError

from fraudsim.errors import FraudsimError
from fraudsim.log.consumer import (
    SHORT,
    FetchPlan,
    TopicReader,
    existing_partitions,
    log_ranges,
    open_reader,
    partitions_of,
    read_to_end,
)
from fraudsim.polling import poll_until

pytestmark = pytest.mark.stack


@pytest.fixture
def topic(stack):
    """A topic of two partitions: 5 records in the first, and in the second 3, then a transaction of 1."""
    from kafka.admin import KafkaAdminClient, NewTopic

    name = f"reader-{uuid.uuid4().hex[:8]}"
    admin = KafkaAdminClient(bootstrap_servers=stack.kafka_bootstrap)
    admin.create_topics([NewTopic(name, 2, 1)])
    admin.close()

    async def fill():
        async with AIOKafkaProducer(bootstrap_servers=stack.kafka_bootstrap) as producer:
            for partition, count in ((0, 5), (1, 3)):
                for number in range(count):
                    await producer.send_and_wait(name, str(number).encode(), partition=partition)
        transactional = AIOKafkaProducer(
            bootstrap_servers=stack.kafka_bootstrap, transactional_id=f"{name}-transaction"
        )
        async with transactional, transactional.transaction():
            await transactional.send_and_wait(name, b"3", partition=1)

    asyncio.run(fill())
    # The broker answers a commit before it writes the marker.
    second = TopicPartition(name, 1)
    assert poll_until(lambda: log_ranges(stack.kafka_bootstrap, [second])[second] == (0, 5), 30)
    return name


def read(bootstrap, partitions, starts=None):
    """What `read_until` the present ends yields: values by partition number, and last positions."""

    async def run():
        values, positions = {tp.partition: [] for tp in partitions}, {}
        async with open_reader(bootstrap, partitions, SHORT) as reader:
            await reader.seek_to_begins()
            reader.seek(starts or {})
            ends = await reader.ends()
            async for tp, records, position in reader.read_until(ends):
                values[tp.partition] += [record.value for record in records]
                positions[tp.partition] = position
            return values, positions, await reader.lags()

    return asyncio.run(run())


def test_each_partition_is_read_to_its_end_past_markers_too(stack, topic):
    partitions = [TopicPartition(topic, n) for n in (0, 1)]
    values, positions, lags = read(stack.kafka_bootstrap, partitions)
    assert values == {0: [b"0", b"1", b"2", b"3", b"4"], 1: [b"0", b"1", b"2", b"3"]}
    assert positions == {0: 5, 1: 5}  # the marker of the transaction takes an offset
    assert set(lags.values()) == {0}
    assert log_ranges(stack.kafka_bootstrap, partitions) == dict.fromkeys(partitions, (0, 5))


def test_reading_goes_on_where_it_is_told_and_a_read_partition_yields_nothing(stack, topic):
    partitions = [TopicPartition(topic, n) for n in (0, 1)]
    starts = {partitions[0]: 5, partitions[1]: 2}
    values, positions, _ = read(stack.kafka_bootstrap, partitions, starts)
    assert values == {0: [], 1: [b"2", b"3"]}
    assert positions == {1: 5}


def test_what_comes_after_an_end_is_for_the_next_reading(stack, topic):
    partition = TopicPartition(topic, 0)

    async def read_twice():
        values = []
        async with open_reader(stack.kafka_bootstrap, [partition], SHORT) as reader:
            await reader.seek_to_begins()
            for end in (3, 5):  # one fetch brings all five
                async for _, records, _ in reader.read_until({partition: end}):
                    values += [record.value for record in records]
        return values

    assert asyncio.run(read_twice()) == [b"0", b"1", b"2", b"3", b"4"]


def test_a_short_call_reads_a_partition_from_an_offset_with_a_running_loop_too(stack, topic):
    async def within_a_loop():
        return read_to_end(stack.kafka_bootstrap, TopicPartition(topic, 0), 3)

    records, end = asyncio.run(within_a_loop())
    assert [record.value for record in records] == [b"3", b"4"]
    assert end == 5


def test_a_question_that_timed_out_while_the_process_was_paused_is_asked_again():
    tp = TopicPartition("t", 0)

    class Paused:
        asked = 0

        async def end_offsets(self, tps):
            self.asked += 1
            if self.asked == 1:
                raise KafkaTimeoutError
            return dict.fromkeys(tps, 7)

    assert asyncio.run(TopicReader(Paused(), [tp]).ends()) == {tp: 7}


def test_partitions_are_numbers_and_a_missing_topic_is_named(stack, topic):
    absent = f"absent-{uuid.uuid4().hex[:8]}"
    assert partitions_of(stack.kafka_bootstrap, [topic, absent]) == {topic: [0, 1], absent: []}
    with pytest.raises(FraudsimError, match=f"topic {absent} does not exist: create the topics"):
        existing_partitions(stack.kafka_bootstrap, [topic, absent])
    with pytest.raises(FraudsimError, match=f"topic {absent} does not exist: create the topics"):
        read_to_end(stack.kafka_bootstrap, TopicPartition(absent, 0))


def test_a_backlog_in_one_partition_leaves_the_others_their_share_of_every_poll(stack):
    """As aiokafka has it, a bounded poll is filled from the partition fetched first, until that is empty."""
    from kafka.admin import KafkaAdminClient, NewTopic

    name = f"backlog-{uuid.uuid4().hex[:8]}"
    admin = KafkaAdminClient(bootstrap_servers=stack.kafka_bootstrap)
    admin.create_topics([NewTopic(name, 2, 1)])
    admin.close()
    partitions = [TopicPartition(name, n) for n in (0, 1)]

    async def run():
        async with AIOKafkaProducer(bootstrap_servers=stack.kafka_bootstrap) as producer:
            for _ in range(400):
                await producer.send(name, b"x" * 50, partition=0)
            await producer.flush()
        async with open_reader(stack.kafka_bootstrap, partitions, FetchPlan(20, max_records=10)) as reader:
            await reader.seek_to_begins()
            first = await reader.poll(5_000)
            assert [len(records) for records in first.values()] == [10]  # there is nothing else
            async with AIOKafkaProducer(bootstrap_servers=stack.kafka_bootstrap) as producer:
                batch = producer.create_batch()
                for _ in range(30):
                    batch.append(key=None, value=b"y", timestamp=None)
                await (await producer.send_batch(batch, name, partition=1))
            for _ in range(500):  # until it is fetched, as one batch
                if reader.known_ends().get(partitions[1]) == 30:
                    break
                await asyncio.sleep(0.02)
            polls = [await reader.poll(5_000) for _ in range(4)]
            assert [{tp.partition: len(records) for tp, records in polled.items()} for polled in polls] == [
                {0: 5, 1: 5}
            ] * 4
            offsets = [
                record.offset for polled in (first, *polls) for record in polled.get(partitions[0], ())
            ]
            assert offsets == list(range(30))

    asyncio.run(run())


def test_a_partition_may_wait_for_its_first_offset(stack, topic):
    """aiokafka reports a partition that is assigned without an offset as an error of the next poll."""

    async def run():
        partitions = [TopicPartition(topic, n) for n in (0, 1)]
        async with open_reader(stack.kafka_bootstrap, partitions, SHORT) as reader:
            await asyncio.sleep(0.5)
            reader.seek(dict.fromkeys(partitions, 2))
            ends = await reader.ends()
            return [record.value async for _, records, _ in reader.read_until(ends) for record in records]

    assert sorted(asyncio.run(run())) == [b"2", b"2", b"3", b"3", b"4"]
