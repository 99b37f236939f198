"""Messages, live figures and the summary: data as it is, latencies beside the speed of the clock."""

import json
import subprocess
import sys
from types import SimpleNamespace

from fraudsim.process.terminal import plain_console
from producers.ledger.account import WEEK_MS, Basis
from producers.ledger.ledger import Ledger
from runner.ledger.run_ledger import ledger_figures
from runner.record import display
from runner.record.display import LiveFigures, print_summary

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
        "model": "m", "labels": {}, "speed": 1.0, **changes,
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


def test_latencies_stand_beside_what_they_are_in_event_time(capsys, monkeypatch):
    tally = SimpleNamespace(decisions=100, actions={}, latencies=SimpleNamespace(recent_ms=[25.0] * 100))
    monkeypatch.setattr(display, "console", plain_console())
    monkeypatch.setattr(display, "LINE_EVERY_S", 0.0)
    LiveFigures(tally, 30, 2_720, None).show()
    assert "p99 ms 25.0  in event time 68 s" in capsys.readouterr().out
    none_yet = SimpleNamespace(decisions=0, actions={}, latencies=SimpleNamespace(recent_ms=[]))
    LiveFigures(none_yet, 30, 2_720, None).show()
    assert "p99 ms -  in event time -" in capsys.readouterr().out


def test_the_summary_says_what_its_latencies_are_in_event_time(capsys, monkeypatch):
    monkeypatch.setattr(display, "console", plain_console())
    latency = dict.fromkeys(("p50", "p90", "p99", "p999", "max"), 25.0)
    counts = dict.fromkeys(("sent", "decided", "lost", "duplicated", "dead_lettered", "false_alarms"), 1)
    print_summary(
        {
            **counts, "throughput_tps": 1.0, "restarts": {}, "latency_ms": latency, "speed": 2720.0,
            "null_latency_ms": latency, "by_typology": {}, "send_behind_s": 0.0, "model": "m[v2]",
            "send_tick_ms": 2.5, "labels": {},
            "detection": {"average_precision": 1, "auc": 1, "card_precision_at_100": 1},
        }
    )  # fmt: skip
    shown = capsys.readouterr().out
    assert "at 2,720 event seconds a second 25 ms are 68 s of event time\n" in shown
    assert "the sender handed over every 2.5 ms" in shown
    assert "model m[v2]" in shown
