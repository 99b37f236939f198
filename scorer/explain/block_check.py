"""The blocks of a run's decisions, found again from history and archived log."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from fraudsim.errors import FraudsimError
from fraudsim.log.events import Block, Label, LogPrefix
from fraudsim.log.partitioning import partition_of
from producers.labels.blocks import CardBlocks
from stream_features.offline.archived_log import accepted_labels, archived_clock, first_decisions
from stream_features.offline.history_tables import read_history_tables
from stream_features.store.reported_labels import decode_reported, encode_reported

_COLUMNS = ("tx_id", "card_id", "ts", "prefix", "block", "uncertain")


@dataclass
class BlockCheck:
    """What the comparison found."""

    checked: int = 0
    """Decisions that say how far labels were read, and were certain."""
    blocked: int = 0
    differ: list[str] = field(default_factory=list)
    """tx_ids whose block is not the one that the log gives."""


LoggedLabel = tuple[int, Label]
"""A label and its offset; -1 where it is the history's."""


def block_from_log(
    labels: Iterable[LoggedLabel], card_id: str, ts: int, read_to: int, block_ms: int
) -> Block | None:
    """The block of a card at `ts`, from its labels up to an offset of their partition, in log order."""
    blocks = CardBlocks(block_ms)
    for offset, label in labels:
        if offset <= read_to:
            blocks.add(label)
    return blocks.at(card_id, ts)


def check_blocks(run_dir: Path, block_ms: int) -> BlockCheck:
    """Compare every decision's block with the one found again.

    Args:
        block_ms: event time for which the run's scorers blocked a card.

    Raises:
        FraudsimError: the run has no archive.
    """
    decisions = first_decisions(run_dir)
    if "block" not in decisions.column_names:
        return BlockCheck()
    by_card = _labels_by_card(run_dir)
    check = BlockCheck()
    for row in decisions.select(_COLUMNS).to_pylist():
        labels_to = msgspec.json.decode(row["prefix"], type=LogPrefix).labels_to
        if not labels_to or row["uncertain"]:
            continue
        check.checked += 1
        recorded = None if row["block"] is None else msgspec.json.decode(row["block"], type=Block)
        check.blocked += recorded is not None
        labels: Sequence[LoggedLabel] = by_card.get(row["card_id"], ())
        read_to = labels_to[partition_of(row["card_id"], len(labels_to))]
        if recorded != block_from_log(labels, row["card_id"], row["ts"], read_to, block_ms):
            check.differ.append(row["tx_id"])
    return check


def _labels_by_card(run_dir: Path) -> dict[str, list[LoggedLabel]]:
    """The labels of each card, the history's first, then the log's in its order."""
    clock = archived_clock(run_dir)
    by_card: defaultdict[str, list[LoggedLabel]] = defaultdict(list)
    if clock.first.history_fingerprint:
        try:
            _, history_labels = read_history_tables(run_dir / "history")
        except FraudsimError as error:
            raise FraudsimError(f"blocks cannot be found again: {error}") from None
        for label in decode_reported(encode_reported(history_labels, clock.first.event_epoch_ms)):
            by_card[label.card_id].append((-1, label))
    for meta, label in accepted_labels(run_dir, clock):
        by_card[label.card_id].append((meta.offset, label))
    return by_card
