"""The live page's figures against the run's summary."""

MONEY = ("fraud_paid_cents", "insult_cents", "friction_cents", "review_cents")


def check_figures(last, summary):
    names = ("sent", "decided", "lost", "duplicated", "dead_lettered")
    assert {name: last[name] for name in names} == {name: summary[name] for name in names}
    assert {action: last[action] for action in summary["actions"]} == summary["actions"]
    assert {flag: last[flag] for flag in summary["flags"]} == summary["flags"]
    # To the log, where the summary counts to the record read back from it.
    assert 0 < last["p99_ms"] <= summary["latency_ms"]["p99"] * 1.01 + 1
    assert last["p50_ms"] > 0


def check_money(last, summary):
    total = summary["ledger"]["total"]
    assert {name: last[name] for name in MONEY} == {name: total[name] for name in MONEY}
    assert last["net_loss_cents"] == summary["ledger"]["net_loss_cents"]
