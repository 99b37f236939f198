"""The line in event time: a traffic under a regime, stretch by stretch."""

from collections.abc import Iterator

from producers.labels.consequences import Consequences
from producers.ledger.ledger import Ledger
from simulator.features.columns import RowColumns
from simulator.features.label_book import LabelBook
from simulator.features.stretch_features import StretchFeatures
from simulator.features.window_features import REACH_MS
from simulator.line.decided import DecidedStretch
from simulator.line.line_state import LineState
from simulator.line.scoring import Scoring
from simulator.line.split_scoring import SplitScoring
from simulator.line.stretch_run import StretchRun
from simulator.line.traffic import SimulatedTraffic, labels_of
from simulator.regimes import REGIMES, Regime


class SimulatedLine:
    """Decides a traffic; see `LineState` for the arguments."""

    def __init__(
        self,
        traffic: SimulatedTraffic,
        regime: Regime,
        scoring: Scoring | SplitScoring | None,
        rules: Consequences,
        *,
        reacting: bool,
        primed: bool = True,
    ) -> None:
        """`primed`: features begin with the state of the whole history, however stale the regime is."""
        self._traffic = traffic
        self._primed_ms = traffic.start_ms if primed else None
        self._state = LineState(traffic, regime, scoring, rules, reacting=reacting)
        # A job scores payments by the features of their own time.
        self._features_by = regime if regime.acts == "at once" else REGIMES["real-time"]

    @property
    def consequences(self) -> dict[str, int]:
        """Decisions and what followed, by name."""
        return {name: n for name, n in sorted(self._state.office.counts.items()) if n}

    @property
    def counts(self) -> dict[str, int]:
        """Labels by source, and those that never came to be."""
        return dict(sorted(self._state.counts.items()))

    @property
    def ledger(self) -> Ledger:
        """What frauds and defences cost so far."""
        return self._state.ledger

    @property
    def reactions(self) -> dict[str, int]:
        """Payments that campaigns changed or left out, by reaction."""
        return self._state.campaigns.counts if self._state.campaigns else {}

    def run(self) -> Iterator[DecidedStretch]:
        """Each stretch once it is over; what became of a reviewed payment may still be resolved later."""
        regime, state = self._features_by, self._state
        book = LabelBook(regime.longest_staleness_ms, tumbling=regime.windows == "tumbling")
        past = self._begin(book)
        for stretch in self._traffic.stretches():
            state.forget(stretch.start_ms)
            features = StretchFeatures(regime, stretch.transactions, past, book, self._primed_ms)
            yield StretchRun(state, stretch, features).run()
            past = features.past_for(stretch.end_ms)
        state.close()

    def _begin(self, book: LabelBook) -> RowColumns:
        """Take in the labels known at the start; queue the later ones. Returns the rows that still matter."""
        start_ms = self._traffic.start_ms
        for label in labels_of(self._traffic.labels_before):
            if label.known_at < start_ms:
                book.add(label)
                self._state.add_block(label)
            else:
                self._state.add_event(label.known_at, "label", label, from_world=True)
        past = RowColumns.of(self._traffic.past)
        return past.where(past.ts >= start_ms - REACH_MS - self._features_by.longest_staleness_ms)
