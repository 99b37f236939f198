"""What the weeks of a line say to the triggers of retraining. Pure."""

from collections.abc import Sequence
from itertools import takewhile

from dashboards.drift.line.week_records import WeekRecord
from lifecycle.retraining.triggers import Evidence


def evidence_of(
    weeks: Sequence[WeekRecord], now_ms: int, tried_ms: int, champion: str, retraining_cents: float
) -> Evidence:
    """The evidence of a moment.

    An alarm counts until a retraining has been tried after it. Cost shares are of weeks that the
    champion of now has decided as a whole, one after the other: the first of them and the last.

    Args:
        weeks: as the weekly detector has judged them, in order.
        tried_ms: event time at which retraining was last tried.
    """
    last = weeks[-1] if weeks else None
    alarms = [week.end_ms for week in weeks if week.status == "alarm" and week.end_ms > tried_ms]
    drifted = [signal.name for signal in last.beyond] if last is not None and last.end_ms > tried_ms else []
    ours = takewhile(lambda m: m is not None and m.champion == champion, (w.mature for w in reversed(weeks)))
    shares = [m for m in ours if m is not None and m.cost_share is not None]
    return Evidence(
        now_ms,
        tried_ms,
        drifted,
        shares[0].cost_share if shares else None,
        shares[-1].cost_share if shares else None,
        float(shares[0].at_stake_cents) if shares else 0.0,
        retraining_cents,
        alarms[0] if alarms else None,
    )
