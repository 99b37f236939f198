"""`fraudsim watch` beside a run, killed in the middle: its metrics equal those of the archive."""

import urllib.error
import urllib.request
from collections import Counter

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dashboards.outcomes import outcome_name
from fraudsim.archive.log_files import read_log
from fraudsim.log.topics import DECISIONS, LABELS
from fraudsim.polling import poll_until
from fraudsim.settings import Settings
from producers.labels.consequences import Consequences
from producers.labels.outcome import DecidedPayment
from producers.ledger.account import Basis
from producers.ledger.book import Book, Posting
from producers.ledger.ledger import ledger_of
from runner.ledger.run_ledger import COLUMNS
from runner.ledger.run_payments import frauds_of
from runner.line.options import LineOptions
from testing.rigs.live_line import kill, metrics_port, policy_at, run_line, serves_metrics, wait_for_decisions

pytestmark = pytest.mark.stack
SCRIPT = """\
version: 1
events:
  - {event: attack, typology: card_testing, at: 10m, campaigns: 20, camouflage: 0.0}
  - {event: attack, typology: leaked_card, at: 10m, campaigns: 30, camouflage: 0.5}
"""


class MetricsPage:
    """The metrics of `watch` by name, each series as (its labels' values, value)."""

    def __init__(self, line):
        url = f"http://127.0.0.1:{metrics_port(line, 'watch')}/metrics"
        text = urllib.request.urlopen(url, timeout=5).read().decode()
        self.samples = [s for f in text_string_to_metric_families(text) for s in f.samples]

    def sums_by(self, name, *labels):
        """Sums by the values of some labels; a series at 0 is left out."""
        sums = Counter()
        for sample in self.samples:
            if sample.name == name:
                sums[tuple(sample.labels[label] for label in labels)] += sample.value
        return {key: round(value, 6) for key, value in sums.items() if value}

    def resolved_count(self):
        names = (
            "fraudsim_fraud_transactions_total",
            "fraudsim_honest_transactions_total",
            "fraudsim_ledger_open_reviews",
        )
        return sum(sum(self.sums_by(name).values()) for name in names)


@pytest.mark.long
def test_it_serves_what_the_archive_comes_to_by_typology_and_outcome(tmp_path, prepared):
    every_action = policy_at(tmp_path / "every_action", 0.004, 0.01, 0.03)
    script, run, pages = tmp_path / "attacks.yaml", tmp_path / "run", []
    script.write_text(SCRIPT)
    options = LineOptions(run, seconds=8, rate=200, cards=800, null_seconds=0, reuse=prepared, script=script)

    def watch_and_kill(line, observer):
        line.start_part("watch", "watch", "--from-start", "--wait-s", "2", "--reference", "300")
        wait_for_decisions(line, observer, 300)
        line.wait_for("watch to begin", lambda: serves_metrics(line, "watch"))
        kill(line, "watch")

    def all_resolved(line):
        try:
            pages.append(MetricsPage(line))
        except (urllib.error.URLError, OSError):
            return False
        return pages[-1].resolved_count() >= read_log(run, DECISIONS, ["offset"]).num_rows

    summary = run_line(
        options, Settings(_env_file=None, policy=every_action), watch_and_kill,
        lambda line: poll_until(lambda: all_resolved(line), 30, every_s=0.2), brute_force=10,
    )  # fmt: skip
    assert summary["restarts"] == {"watch": 1}
    page = pages[-1]

    decisions = read_log(run, DECISIONS).to_pylist()
    frauds, book = frauds_of(run), Book(Consequences(), Settings(_env_file=None).seed)
    entries = []
    for row in sorted(decisions, key=lambda row: (row["ts"], row["tx_id"])):
        payment = DecidedPayment(**{name: row[name] for name in COLUMNS})
        entries += book.advance(payment.ts)
        entry = book.add(Posting(payment, frauds.get(payment.tx_id)))
        entries += [] if entry is None else [entry]
    named = [(e.fraud.typology, outcome_name(e.outcome), e) for e in entries if e.fraud]
    honest = [(outcome_name(e.outcome), e) for e in entries if not e.fraud]
    assert len(named) > 50
    assert {name for name, _ in honest} >= {"paid", "step_up", "decline"}

    fraud_counts = page.sums_by("fraudsim_fraud_transactions_total", "typology", "outcome")
    assert fraud_counts == Counter((typology, name) for typology, name, _ in named)
    assert page.sums_by("fraudsim_honest_transactions_total", "outcome") == Counter(
        (name,) for name, _ in honest
    )
    value = Counter()
    for typology, name, entry in named:
        value[typology, name] += entry.payment.amount_cents
    assert page.sums_by("fraudsim_fraud_value_cents_total", "typology", "outcome") == value
    ledger = ledger_of(entries, Basis(1, 1))
    assert page.sums_by("fraudsim_ledger_cents_total", "view")["truth",] == ledger.total.net_loss_cents
    alerts = page.sums_by("fraudsim_ledger_alerts_total", "truth")
    assert alerts["fraud",] + alerts["honest",] == ledger.total.flagged.count
    assert page.sums_by("fraudsim_ledger_open_reviews").get((), 0) == len(book)

    assert page.sums_by("fraudsim_calibration_decisions_total") == {(): len(decisions)}
    assert page.sums_by("fraudsim_calibration_frauds_total") == {
        (): len(frauds.keys() & {d["tx_id"] for d in decisions})
    }
    predicted = sum(decision["probability"] for decision in decisions)
    assert page.sums_by("fraudsim_calibration_probability_total")[()] == pytest.approx(predicted, rel=1e-6)
    assert page.sums_by("fraudsim_label_delay_seconds_count", "source", "verdict") == Counter(
        (row["source"], "fraud" if row["is_fraud"] else "honest") for row in read_log(run, LABELS).to_pylist()
    )
    assert len(page.sums_by("fraudsim_drift_psi_limit", "feature")) == 13
    assert page.sums_by("fraudsim_watch_unreadable_total") == {}
