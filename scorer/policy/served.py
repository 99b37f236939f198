"""The policy being served: watched, exchanged between two batches, never for one that fails its checks."""

from pathlib import Path
from typing import Any, Final

from fraudsim import metrics
from fraudsim.errors import FraudsimError
from scorer.policy.file import parse_policy, read_folder
from scorer.policy.policy import Policy
from scorer.policy.rules import RuleError

PATIENCE: Final = 2
"""Looks in a row at which a file must be missing: between two renames it is, for a moment."""


class ServedPolicy:
    """Watches a policy's folder. A change that cannot be served is refused, and the served one stays."""

    def __init__(self, folder: Path, log: Any) -> None:
        """Raises FraudsimError where the folder holds no policy."""
        self._folder = folder
        self._log = log
        self._seen = read_folder(folder)
        self.policy: Policy = parse_policy(self._seen, str(folder))
        self._missing = 0
        self._failing: set[tuple[str, str]] = set()
        for outcome in ("served", "refused"):
            metrics.POLICY_CHANGES.labels(outcome)
        self._announce()

    def _announce(self) -> None:
        metrics.POLICY_INFO.clear()
        metrics.POLICY_INFO.labels(self.policy.version).set(1)

    def look_again(self) -> None:
        """Serve what the folder holds, if that has changed and passes its checks (1 ms)."""
        try:
            files = read_folder(self._folder)
            whole = files == self._seen or files == read_folder(self._folder)
        except FraudsimError as error:
            self._missing += 1
            if self._missing == PATIENCE:
                self._refuse(error)
            return
        self._missing = 0
        if files == self._seen or not whole:
            return  # in the middle of a change the next look sees all of it
        self._seen = files
        try:
            self.policy = parse_policy(files, str(self._folder))
        except FraudsimError as error:
            self._refuse(error)
            return
        metrics.POLICY_CHANGES.labels("served").inc()
        self._announce()
        self._log.info("policy_served", version=self.policy.version)

    def _refuse(self, error: FraudsimError) -> None:
        metrics.POLICY_CHANGES.labels("refused").inc()
        self._log.error("policy_refused", reason=str(error), still_serving=self.policy.version)

    def rule_failed(self, file: str, error: RuleError) -> None:
        """Count a rule file that could not be evaluated; say so once for each policy."""
        metrics.RULE_ERRORS.labels(file).inc()
        if (self.policy.version, file) not in self._failing:
            self._failing.add((self.policy.version, file))
            self._log.error("rule_failed", file=file, policy=self.policy.version, reason=str(error))
