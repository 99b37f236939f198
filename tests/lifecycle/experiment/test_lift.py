"""The table of lifts: one row for each experiment, whatever interrupts the one who writes it."""

import msgspec
import pytest

from fraudsim.errors import FraudsimError
from lifecycle.evidence.money import DifferenceReading, MoneyReading, OfflineGain
from lifecycle.experiment.lift import LIFT_FILE, append_lift, lift_lines, lift_row, read_lifts
from lifecycle.experiment.stages import stages_of
from lifecycle.experiment.state import ExperimentState, Step

MONEY = MoneyReading(
    loss_of_a=40.0, difference=-3.0, low=-5.0, high=-1.0, detectable=3.0, tested=True, cards_of_a=750,
    cards_of_b=250,
)  # fmt: skip
STEPS = [
    Step(event_ms=5, wall_ms=0, stage="shadow", what="begins"),
    Step(event_ms=90, wall_ms=0, stage="25 %", what="promoted"),
]
STATE = ExperimentState(
    champion="a" * 16, challenger="b" * 16, salt="s", stages=stages_of("shadow:3,25%:28"), stage=1,
    status="promoted", steps=STEPS, money=MONEY,
)  # fmt: skip
OFFLINE = OfflineGain(method="twin run", gain=DifferenceReading(difference=-4.0, low=-6.0, high=-2.0))


def test_a_row_says_what_was_expected_and_what_came(tmp_path):
    row = lift_row(STATE, "line, runs/x", OFFLINE)
    assert append_lift(tmp_path, row)
    assert read_lifts(tmp_path) == ([row], 0)
    assert (row.stages, row.share, row.began_ms, row.ended_ms) == ("shadow:3,25%:28", 0.25, 5, 90)
    text = "\n".join(lift_lines([row], 0))
    assert "offline  -40.00 (-60.00 to -20.00), twin run" in text
    assert "online   -30.00 (-50.00 to -10.00)" in text
    assert "250 cards of B, 750 of A, loss of 7 days' age" in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_one_experiment_has_one_row_and_another_has_another(tmp_path):
    row = lift_row(STATE, "line, runs/x", OFFLINE)
    assert append_lift(tmp_path, row)
    assert not append_lift(tmp_path, lift_row(STATE, "line, runs/x", OfflineGain(method="none: killed")))
    other = msgspec.structs.replace(STATE, salt="another")
    assert append_lift(tmp_path, lift_row(other, "line, runs/x", OFFLINE))
    assert [row.salt for row in read_lifts(tmp_path)[0]] == ["s", "another"]


def test_a_row_that_was_cut_off_costs_no_other_row(tmp_path):
    row = lift_row(STATE, "line, runs/x", OFFLINE)
    append_lift(tmp_path, row)
    path = tmp_path / LIFT_FILE
    path.write_bytes(path.read_bytes() + msgspec.json.encode(row)[:40])
    other = lift_row(msgspec.structs.replace(STATE, salt="t"), "simulated, h", OFFLINE)
    assert append_lift(tmp_path, other)
    rows, unreadable = read_lifts(tmp_path)
    assert ([row.salt for row in rows], unreadable) == (["s", "t"], 1)
    assert next(lift_lines(rows, unreadable)).startswith("1 lines of lifts.jsonl cannot be read")


def test_an_experiment_that_saw_no_mature_loss_says_so_and_an_empty_table_too(tmp_path):
    early = msgspec.structs.replace(STATE, money=None, status="rolled back", stage=0)
    row = lift_row(early, "line, runs/x", OfflineGain(method="none: effective sample 12.0 is below 50"))
    text = "\n".join(lift_lines([row], 0))
    assert "online   none: too little was old enough" in text
    assert "offline  none, none: effective sample" not in text
    assert list(lift_lines([], 0)) == ["no experiment has ended: the table is empty"]


def test_a_table_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / LIFT_FILE).mkdir()
    with pytest.raises(FraudsimError, match=r"lifts\.jsonl"):
        append_lift(tmp_path, lift_row(STATE, "line, runs/x", OFFLINE))
