"""The watermark of a slot: which part of the log its state in Redis has folded.

Redis stores it as JSON under `{sN}:applied`. The fence compares and replaces it as a whole, with the blobs.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from fraudsim.errors import FraudsimError
from fraudsim.log.events import Segment
from stream_features.catalogue.features import HASH

REBUILD: Final = "`fraudsim features rebuild --run FOLDER`"
"""The command that restores a state from the run's archive."""


class Watermark(msgspec.Struct, frozen=True, kw_only=True):
    """The fence and the watermark of one slot."""

    log_id: str
    generation: str
    """Random, new at every priming or rebuild."""
    catalogue: str
    history: str
    """Fingerprint of the history that the state was primed from; empty for a start without one."""
    slots: int = 0
    """Number of slots that the keys were spread over; 0 if it was not recorded."""
    offsets: tuple[int, ...]
    """Last offset folded, by source: the partitions of `transactions`, then those of `labels`; -1 is none."""

    def advance_to(self, ends: Sequence[int]) -> "Watermark":
        """The same fence with each offset raised to that of `ends`; no offset goes back."""
        moved = tuple(max(old, new) for old, new in zip(self.offsets, ends, strict=True))
        return msgspec.structs.replace(self, offsets=moved)


encode_watermark = msgspec.json.Encoder().encode
decode_watermark = msgspec.json.Decoder(Watermark).decode


def check_watermark(watermark: Watermark, slot: int, segment: Segment, sources: int, slots: int) -> None:
    """Check that a slot's state belongs to this log, catalogue, partition count and number of slots.

    Raises:
        FraudsimError: it does not; the message names the command that repairs it.
    """
    repair = f"run {REBUILD}, or `fraudsim features prime --force` to fold the log from its start"
    if watermark.log_id != segment.log_id:
        raise FraudsimError(
            f"slot {slot} holds the state of log {watermark.log_id}, this is {segment.log_id}: {repair}"
        )
    if watermark.catalogue != HASH:
        raise FraudsimError(
            f"slot {slot} was built with catalogue {watermark.catalogue}, this is {HASH}: {repair}"
        )
    if watermark.history != segment.history_fingerprint:
        raise FraudsimError(
            f"slot {slot} was primed from history {watermark.history or 'none'}, the log names "
            f"{segment.history_fingerprint or 'none'}: {repair}"
        )
    if len(watermark.offsets) != sources:
        raise FraudsimError(
            f"slot {slot} was primed for {len(watermark.offsets) // 2} partitions, FRAUDSIM_PARTITIONS is "
            f"{sources // 2}: set it to match, or {repair}"
        )
    if watermark.slots != slots:
        raise FraudsimError(
            f"slot {slot} was primed as one of {watermark.slots or 'an unknown number of'} slots, "
            f"FRAUDSIM_SLOTS is {slots}: set it to match, or {repair}"
        )


def check_range(watermark: Watermark, slot: int, begins: Sequence[int], ends: Sequence[int]) -> None:
    """Check that the log reaches the watermark and still holds everything after it.

    Raises:
        FraudsimError: a gap or a watermark beyond the log's end.
    """
    for source, (offset, begin, end) in enumerate(zip(watermark.offsets, begins, ends, strict=True)):
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
