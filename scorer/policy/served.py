"""The served policy: watched, exchanged between two batches, never for one that fails its checks."""

from pathlib import Path
from typing import Any, Final

from fraudsim import metrics
from fraudsim.errors import FraudsimError
from scorer.policy.file import parse_policy, read_folder
from scorer.policy.policy import Policy
from scorer.policy.rules import RuleError

MISSES_BEFORE_REFUSAL: Final = 2
"""Refreshes in a row that miss a file before that is reported: between two renames it is missing briefly."""


class ServedPolicy:
    """Watches a policy's folder. A change that fails its checks is refused, and the served policy stays."""

    def __init__(self, folder: Path, log: Any) -> None:
        """Raises FraudsimError where the folder holds no policy."""
        self._folder = folder
        self._log = log
        self._files = read_folder(folder)
        self.policy: Policy = parse_policy(self._files, str(folder))
        self._misses = 0
        self._failing_rules: set[tuple[str, str]] = set()
        for outcome in ("served", "refused"):
            metrics.POLICY_CHANGES.labels(outcome)
        self._announce()

    def _announce(self) -> None:
        metrics.POLICY_INFO.clear()
        metrics.POLICY_INFO.labels(self.policy.version).set(1)

    def refresh(self) -> None:
        """Serve the folder's content if it has changed and passes its checks (1 ms)."""
        try:
            files = read_folder(self._folder)
            stable = files == self._files or files == read_folder(self._folder)
        except FraudsimError as error:
            self._misses += 1
            if self._misses == MISSES_BEFORE_REFUSAL:
                self._refuse(error)
            return
        self._misses = 0
        if files == self._files or not stable:
            return  # in the middle of a change, the next refresh sees all of it
        self._files = files
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
        """Count a rule file that could not be evaluated; log it once for each policy."""
        metrics.RULE_ERRORS.labels(file).inc()
        if (self.policy.version, file) not in self._failing_rules:
            self._failing_rules.add((self.policy.version, file))
            self._log.error("rule_failed", file=file, policy=self.policy.version, reason=str(error))
