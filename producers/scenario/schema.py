"""The schema of a scenario file: what happens on a live stream, and when.

Times count from the start of the live stream, in event time: `90m`, `2h`, `1d`.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from fraudsim.log.patterns import whole_text

MAX_EVENTS: Final = 1_000

Duration = Annotated[str, whole_text("[0-9]+([.][0-9]+)?[smhd]")]
Share = Annotated[float, Meta(gt=0, le=1)]


class _Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The base of all events."""


class Attack(_Event, frozen=True, tag="attack", tag_field="event"):
    """Campaigns of a typology in addition to the world's own."""

    typology: str
    at: Duration
    campaigns: Annotated[int, Meta(ge=1, le=10_000)] = 1
    camouflage: Annotated[float, Meta(ge=0, le=1)] = 0.5
    tempo: Annotated[float, Meta(ge=0.1, le=1_000)] | None = None
    """How many times as fast as usual; None: as the world's attacks."""


class Drift(_Event, frozen=True, tag="drift", tag_field="event"):
    """Amounts change: at once, gradually, or up and down once per `until - from`."""

    kind: Literal["sudden", "gradual", "seasonal"]
    from_: Duration = msgspec.field(name="from")
    until: Duration
    amounts: Annotated[float, Meta(ge=0.05, le=20)]
    """Factor at full strength."""
    category: str | None = None
    """Category of merchants; all of them if absent."""


class Outage(_Event, frozen=True, tag="outage", tag_field="event"):
    """A merchant takes no payments: they are not sent."""

    merchant: Annotated[str, whole_text("[!-~]{1,64}")]
    from_: Duration = msgspec.field(name="from")
    until: Duration


class Peak(_Event, frozen=True, tag="peak", tag_field="event"):
    """More honest traffic of the same cards."""

    from_: Duration = msgspec.field(name="from")
    until: Duration
    times: Annotated[float, Meta(gt=1, le=20)]


class Fault(_Event, frozen=True, tag="fault", tag_field="event"):
    """Bad data: a share of the transactions is affected.

    `late`, `out_of_order` and `clock_skewed` shift the event time against the arrival, in multiples of the
    limit that the log's clock states: at most 0.5 (still valid) or at least 2 (set aside), so that wall-clock
    jitter changes no count. `late` is behind by exactly that, `out_of_order` by anything up to it,
    `clock_skewed` is ahead. `duplicated` and `malformed` send an additional record and leave the transaction
    unchanged.
    """

    kind: Literal["late", "out_of_order", "clock_skewed", "duplicated", "malformed"]
    from_: Duration = msgspec.field(name="from")
    until: Duration
    share: Share
    limits: Annotated[float, Meta(gt=0, le=100)] | None = None


Event = Attack | Drift | Outage | Peak | Fault


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A scenario file."""

    version: Literal[1]
    events: Annotated[list[Event], Meta(min_length=1, max_length=MAX_EVENTS)]
    seed: Annotated[int, Meta(ge=0, le=2**53)] = 0
