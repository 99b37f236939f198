"""What every part of a scorer process is given."""

from dataclasses import dataclass
from typing import Any

from fraudsim.log.clock_log import ClockLog
from fraudsim.log.topics import DECISIONS, LAGGED_DECISIONS
from fraudsim.settings import Settings


@dataclass(frozen=True)
class ScorerContext:
    """Settings, the run's clock and the log of one scorer process."""

    settings: Settings
    clock_log: ClockLog
    log: Any
    """structlog."""
    is_beside: bool = False
    """Whether it decides beside the line: into a topic of its own, and without HTTP."""

    @property
    def decisions_topic(self) -> str:
        """The topic of its decisions, and of where it resumes."""
        return LAGGED_DECISIONS if self.is_beside else DECISIONS
