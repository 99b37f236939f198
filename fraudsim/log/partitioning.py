"""The slot and the partition of a key: murmur2, the hash of Kafka's default partitioner."""

from functools import lru_cache

from aiokafka.partitioner import murmur2


@lru_cache(maxsize=500_000)
def slot_of(entity: str, key: str, slots: int) -> int:
    """Slot of (entity, key), in [0, slots)."""
    return (murmur2(f"{entity}:{key}".encode()) & 0x7FFFFFFF) % slots


@lru_cache(maxsize=500_000)
def partition_of(key: str, partitions: int) -> int:
    """Partition that Kafka's default partitioner gives a key, in [0, partitions)."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions
