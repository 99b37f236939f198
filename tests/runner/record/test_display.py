"""Messages: data is shown as it is."""

import json
import subprocess
import sys

from producers.ledger.account import WEEK_MS, Basis
from producers.ledger.ledger import Ledger
from runner.ledger.run_ledger import ledger_figures
from runner.record.display import print_summary

CODE = """
from runner.record.display import say
say("model m[v2] :smile: [/dim] [red]x")
say("a word " * 60)
"""


def test_brackets_stay_and_piped_output_is_not_wrapped():
    answer = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    first, second = answer.stdout.splitlines()
    assert first == "· model m[v2] :smile: [/dim] [red]x"
    assert second.rstrip() == ("· " + "a word " * 60).rstrip()


def summary_of(**changes):
    values = dict.fromkeys(("p50", "p90", "p99", "p999", "max"), 1.0)
    return {
        "sent": 10, "decided": 10, "lost": 0, "duplicated": 0, "dead_lettered": 0, "throughput_tps": 5.0,
        "restarts": {}, "latency_ms": values, "null_latency_ms": values, "send_behind_s": 0,
        "detection": {"average_precision": None, "auc": None, "card_precision_at_100": None},
        "model": "m", "labels": {}, **changes,
    }  # fmt: skip


def test_an_earlier_run_s_summary_is_shown_without_the_ledger_that_it_lacks(capsys):
    print_summary(summary_of(by_typology={"slow_drip": {"fraud": 3, "caught": 1}}, false_alarms=4))
    shown = capsys.readouterr().out
    assert "net loss" not in shown
    assert "average precision" in shown


def test_the_ledger_is_shown_as_the_summary_has_it(capsys):
    ledger = Ledger("truth", Basis(1_000, WEEK_MS))
    ledger.total.fraud_paid_cents = 123_400
    print_summary(summary_of(ledger=json.loads(json.dumps(ledger_figures(ledger)))))
    assert "net loss 1,234 per 1,000 cards and week = fraud paid 1,234 + insults 0" in capsys.readouterr().out
