"""`applied`: what a slot's state in Redis has folded. Compared and replaced as a whole, with the blobs."""

from collections.abc import Sequence
from typing import Final

import msgspec

from fraudsim.errors import FraudsimError
from fraudsim.log.events import Segment
from stream_features.catalogue.features import HASH

REBUILD: Final = "`fraudsim features rebuild --run FOLDER`"
"""The command that mends a state from the run's archive."""


class Watermark(msgspec.Struct, frozen=True, kw_only=True):
    """The fence and the watermark of one slot."""

    log_id: str
    generation: str
    """Random, new at every priming or rebuild."""
    catalogue: str
    history: str
    """Fingerprint of the history whose state was put in first; empty for a start without one."""
    slots: int = 0
    """How many slots the keys were spread over; 0 where whoever primed it did not say."""
    offsets: tuple[int, ...]
    """Last offset folded, by source: the partitions of `transactions`, then those of `labels`; -1 is none."""

    def moved_to(self, ends: Sequence[int]) -> "Watermark":
        """The same fence with the watermarks moved on to `ends` (never back)."""
        moved = tuple(max(old, new) for old, new in zip(self.offsets, ends, strict=True))
        return msgspec.structs.replace(self, offsets=moved)


encode_watermark = msgspec.json.Encoder().encode
decode_watermark = msgspec.json.Decoder(Watermark).decode


def check_watermark(applied: Watermark, slot: int, segment: Segment, sources: int, slots: int) -> None:
    """That a slot's state belongs to this log, this catalogue, these topics and this number of slots.

    Raises:
        FraudsimError: it does not; the message names the command that mends it.
    """
    mend = f"run {REBUILD}, or `fraudsim features prime --force` to fold the log from its start"
    if applied.log_id != segment.log_id:
        raise FraudsimError(
            f"slot {slot} holds the state of log {applied.log_id}, this is {segment.log_id}: {mend}"
        )
    if applied.catalogue != HASH:
        raise FraudsimError(
            f"slot {slot} was built with catalogue {applied.catalogue}, this is {HASH}: {mend}"
        )
    if applied.history != segment.history_fingerprint:
        raise FraudsimError(
            f"slot {slot} was primed from history {applied.history or 'none'}, the log names "
            f"{segment.history_fingerprint or 'none'}: {mend}"
        )
    if len(applied.offsets) != sources:
        raise FraudsimError(
            f"slot {slot} was primed for {len(applied.offsets) // 2} partitions, FRAUDSIM_PARTITIONS is "
            f"{sources // 2}: set it to match, or {mend}"
        )
    if applied.slots != slots:
        raise FraudsimError(
            f"slot {slot} was primed as one of {applied.slots or 'an unknown number of'} slots, "
            f"FRAUDSIM_SLOTS is {slots}: set it to match, or {mend}"
        )


def check_range(applied: Watermark, slot: int, begins: Sequence[int], ends: Sequence[int]) -> None:
    """That the log still holds everything after the watermark, and holds the watermark.

    Raises:
        FraudsimError: a gap or a watermark beyond the log's end.
    """
    for source, (offset, begin, end) in enumerate(zip(applied.offsets, begins, ends, strict=True)):
        if offset >= end:
            raise FraudsimError(
                f"slot {slot} has folded offset {offset} of source {source}, the log ends at {end}: "
                f"run {REBUILD}"
            )
        if offset + 1 < begin:
            raise FraudsimError(
                f"slot {slot} goes on at offset {offset + 1} of source {source}, the log starts at {begin}: "
                f"run {REBUILD}"
            )
