"""The reports and verdicts at the end of a history, kept in Redis for the scorers: cards they blocked before.

A log begins without labels, but its history may have ended with cards that were reported a day before. The
state's blobs hold no single label, so priming writes these beside them.
"""

from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.log.events import Label

KEY: Final = "fraudsim:reported"
KEPT_DAYS: Final = 30
"""Labels known earlier than this before the history's end are left out."""
_DAY_MS: Final = 86_400_000
_COLUMNS: Final = [name for name in Label.__struct_fields__ if name != "schema_version"]
_decode = msgspec.json.Decoder(list[Label]).decode


def encode_reported(labels: pa.Table | None, end_ms: int) -> bytes:
    """The customers' and analysts' labels of a history that were known shortly before its end, oldest first.

    Args:
        labels: of the history; None where there is none.
    """
    if labels is None or not labels.num_rows:
        return b"[]"
    known_at = labels["known_at"]
    recent = pc.and_(pc.less(known_at, end_ms), pc.greater_equal(known_at, end_ms - KEPT_DAYS * _DAY_MS))
    kept = labels.filter(pc.and_(recent, pc.not_equal(labels["source"], "chargeback")))
    rows = kept.select([name for name in _COLUMNS if name in kept.column_names]).to_pylist()
    rows.sort(key=lambda row: (row["known_at"], row["tx_id"]))
    return msgspec.json.encode([Label(**row) for row in rows])


def decode_reported(value: bytes | None) -> list[Label]:
    """The labels that priming wrote; none where an earlier version primed."""
    return [] if value is None else _decode(value)
