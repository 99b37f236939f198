"""Names of the Redis keys. The hash tag `{sN}` keeps a slot's keys on one node of a Redis Cluster."""


def blob_key(slot: int, entity: str, key: str) -> str:
    """The packed state of one entity's key."""
    return f"{{s{slot}}}:{entity}:{key}"


def watermark_key(slot: int) -> str:
    """The slot's fence and watermark, an encoded `Watermark`."""
    return f"{{s{slot}}}:applied"


def fresh_key(slot: int) -> str:
    """Wall-clock ms up to which the log was known to be folded in this slot."""
    return f"{{s{slot}}}:fresh_at"
