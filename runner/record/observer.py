"""The observer: reads decisions back from the log, as any consumer would, and times their arrival."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from fraudsim.log.acceptance import Rejected, read_event
from fraudsim.settings import Settings
from runner.record.latencies import Latencies
from runner.record.topic_follower import TopicFollower


class _IntendedStamp(msgspec.Struct):
    intended: int = 0


class ObservedDecision(msgspec.Struct):
    """The fields that the observer reads of a decision, or of a relayed transaction (`sent_at`)."""

    tx_id: str
    action: str = ""
    via: str = "stream"
    stamps: _IntendedStamp | None = None
    sent_at: int = 0


_decode = msgspec.json.Decoder(ObservedDecision).decode


@dataclass
class RunTally:
    """Counts of the decisions read so far. The observer's thread writes them, other threads read them."""

    decisions: int = 0
    stream_decisions: int = 0
    """Of `decisions`, those that were not decided by HTTP."""
    unreadable: int = 0
    """Records that are none; they are not among `decisions`."""
    actions: dict[str, int] = field(default_factory=dict)
    latencies: Latencies = field(default_factory=Latencies)
    """From intended send to read back; records without a send time are left out."""


class Observer:
    """Reads a topic from its beginning, in a thread of its own, for the length of a `with` block."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self.tally = RunTally()
        self._follower = TopicFollower(settings, topic, self._add, "observer")

    def __enter__(self) -> "Observer":
        self._follower.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._follower.__exit__()
        self._follower.check()

    def _add(self, record: Any, arrived_us: int) -> None:
        decision = read_event(record.value, _decode)
        if isinstance(decision, Rejected):
            self.tally.unreadable += 1
        else:
            self._count(decision, arrived_us)

    def _count(self, decision: ObservedDecision, arrived_us: int) -> None:
        tally = self.tally
        intended_us = decision.stamps.intended if decision.stamps is not None else decision.sent_at
        if intended_us:
            tally.latencies.add((arrived_us - intended_us) / 1000)
        tally.actions[decision.action] = tally.actions.get(decision.action, 0) + 1
        tally.decisions += 1
        if decision.via != "http":
            tally.stream_decisions += 1
