"""What every part of a scorer process is given."""

from dataclasses import dataclass
from typing import Any

from fraudsim.log.clock_log import ClockLog
from fraudsim.settings import Settings


@dataclass(frozen=True)
class ScorerContext:
    """Settings, the run's clock and the log of one scorer process."""

    settings: Settings
    clock_log: ClockLog
    log: Any
    """structlog."""
