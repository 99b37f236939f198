"""The retrainer, a part of the line: looks at its triggers in event time, and retrains, one at a time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dashboards.drift.line.week_records import WEEKS_FILE, WeekRecord, read_weeks
from fraudsim import metrics
from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from lifecycle.retraining.evidence import evidence_of
from lifecycle.retraining.gate import GateFigures
from lifecycle.retraining.job import RetrainingResult, jobs_in, read_json
from lifecycle.retraining.line_clock import LineClock
from lifecycle.retraining.retrain import FAILURE, RetrainingOptions, Say, retrain
from lifecycle.retraining.steps import GATE
from lifecycle.retraining.trial import end_trial, trial_of
from lifecycle.retraining.triggers import Cadence, Evidence, retraining_cents
from model.artefact.files import read_manifest
from model.registry.versions import folder_of, read_aliases
from producers.world.settings import consequences

STATUSES = ("shadow", "promoted", "rejected", "failed")
TRIAL_ENDS = ("promoted", "dropped", "ended by hand")
POLL_S = 2.0
LONGEST_S = 3600.0
"""Of one retraining; a longer one counts as hung."""
DAY_MS = 86_400_000


class RetrainingPart:
    """Retrains when a trigger says so; an unfinished retraining or trial of an earlier process goes first.

    What cannot be retrained now is said, and a trigger may ask again after its own time: the champion serves
    on.
    """

    def __init__(self, options: RetrainingOptions, cadence: Cadence, settings: Settings, say: Say) -> None:
        self._options, self._cadence, self._settings, self._say = options, cadence, settings, say
        self._clock = LineClock(options.run)
        self._cost_cents = retraining_cents(consequences(settings))
        self._tried_ms: int | None = None
        self._tried_again_ms = 0
        """Event time before which a trial without a known fraud is not looked at again."""
        self._records: list[WeekRecord] = []
        self._written_ns = 0
        self._last_text = ""
        self.finished = 0
        """Retrainings that ended with a result."""
        for status in STATUSES:
            metrics.RETRAININGS.labels(status)
        for status in TRIAL_ENDS:
            metrics.TRIALS.labels(status)

    def run(self, stop: threading.Event) -> int:
        """Look again and again, until `stop`; returns how many retrainings were finished."""
        while not stop.is_set():
            metrics.HEARTBEAT.set_to_current_time()
            try:
                self.look()
            except FraudsimError as error:
                if str(error).startswith(FAILURE):
                    metrics.RETRAININGS.labels("failed").inc()
                self._say_once(str(error))
            stop.wait(POLL_S)
        return self.finished

    def look(self) -> None:
        """Look once: finish what is unfinished, go on with a trial, or retrain if that is due.

        Raises:
            FraudsimError: a retraining failed, or a file cannot be read.
        """
        now_ms = self._clock.now_ms()
        if now_ms is None:
            return
        jobs = jobs_in(self._options.work)
        if any(job.result is None for job in jobs):
            self._retrain(now_ms, "unfinished")
        elif not (self._cadence.trial_ms is not None and jobs and self._is_on_trial(now_ms)):
            reason = self._due(now_ms)
            if reason is not None:
                self._retrain(now_ms, reason)

    def _due(self, now_ms: int) -> str | None:
        """The first trigger that asks, and why."""
        if self._tried_ms is None:
            self._tried_ms = last_tried_ms(self._options)
        evidence = Evidence(now_ms, self._tried_ms)
        if any(trigger.name != "period" for trigger in self._cadence.triggers):
            weeks = self._weeks()
            if not weeks:
                self._say_once(
                    "no week is judged yet: `fraudsim drift --follow` does it, a part with --drift"
                )
            champion = read_aliases(self._options.registry).champion
            evidence = evidence_of(weeks, now_ms, self._tried_ms, champion, self._cost_cents)
        reasons = ((trigger.name, trigger.reason(evidence)) for trigger in self._cadence.triggers)
        return next((f"{name}: {reason}" for name, reason in reasons if reason is not None), None)

    def _weeks(self) -> list[WeekRecord]:
        """The weeks as judged by now, read when they have changed."""
        path = self._options.run / WEEKS_FILE
        written_ns = path.stat().st_mtime_ns if path.exists() else 0
        if written_ns != self._written_ns:
            self._records, self._written_ns = read_weeks(self._options.run), written_ns
        return self._records

    def _retrain(self, now_ms: int, reason: str) -> None:
        self._tried_ms = now_ms
        self._say_once(f"begins, {reason}")
        with _beating():
            result = retrain(self._options, self._settings, self._say, reason, now_ms)
        if result is not None:
            self.finished += 1
            self._count(result)
            self._say(f"{result.status} {result.version or ''} {result.reason}".rstrip())

    def _count(self, result: RetrainingResult) -> None:
        """Export how a retraining ended."""
        job = jobs_in(self._options.work)[-1]
        metrics.RETRAININGS.labels(result.status).inc()
        metrics.RETRAINING_EVENT_TIME.set(job.plan.now_ms / 1000)
        if (job.folder / GATE).exists():
            metrics.RETRAINING_GATE.set(read_json(job.folder / GATE, GateFigures).difference)

    def _is_on_trial(self, now_ms: int) -> bool:
        """Whether the last retraining's shadow is on trial; ends the trial when it is over."""
        job, trial_ms = jobs_in(self._options.work)[-1], self._cadence.trial_ms
        trial = trial_of(job, now_ms)
        if trial is None or trial.status != "running":
            return False
        assert trial_ms is not None
        if now_ms >= max(trial.began_ms + trial_ms, self._tried_again_ms):
            with _beating():
                trial = end_trial(job, trial, self._options.run, now_ms)
            if trial.status == "running":
                self._tried_again_ms = now_ms + DAY_MS
                self._say_once(f"trial of {trial.version}: no fraud is known among its payments yet")
            else:
                metrics.TRIALS.labels(trial.status).inc()
                self._say(f"trial of {trial.version}: {trial.status}")
        return trial.status == "running"

    def _say_once(self, text: str) -> None:
        """Say what holds for many looks the first time only."""
        if text != self._last_text:
            self._last_text = text
            self._say(text)


def last_tried_ms(options: RetrainingOptions) -> int:
    """Event time of the last retraining, or the training time of the champion."""
    jobs = jobs_in(options.work)
    if jobs:
        return jobs[-1].plan.now_ms
    champion = read_aliases(options.registry).champion
    return read_manifest(folder_of(options.registry, champion)).test_from_ms


@contextmanager
def _beating() -> Iterator[None]:
    """Give signs of life while a retraining is at work, for as long as one may take."""
    done = threading.Event()

    def beat() -> None:
        for _ in range(round(LONGEST_S / POLL_S)):
            metrics.HEARTBEAT.set_to_current_time()
            if done.wait(POLL_S):
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
