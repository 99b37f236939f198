"""The weekly detector reads an archive as it grows, each file once, and says the same however it does."""

import numpy as np
import pyarrow as pa
import pytest

from dashboards.drift.decided_weeks import WEEK_MS
from dashboards.drift.detector import FEWEST_WEEKS
from dashboards.drift.line import archived_decisions
from dashboards.drift.line.archived_decisions import ArchivedDecisions
from dashboards.drift.line.process import week_text
from dashboards.drift.line.training_weeks import training_weeks
from dashboards.drift.line.week_metrics import count_week, show_week
from dashboards.drift.line.week_records import WEEKS_FILE, read_weeks
from dashboards.drift.line.week_watch import WeekWatch
from fraudsim.errors import FraudsimError
from fraudsim.log.topics import DECISIONS, LABELS
from fraudsim.metrics import registry
from stream_features.catalogue.features import DAY
from tests.dashboards.drift.line.archive import START_MS, decisions, frauds, write, write_days

OLD, NEW = "a" * 16, "b" * 16
QUIET_WEEKS = 12


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Twelve weeks as ever, two in which amounts are four times as high, and a day more."""
    folder = tmp_path_factory.mktemp("weeks") / "run"
    for week in range(QUIET_WEEKS):
        write_days(folder, range(7 * week, 7 * week + 7))
    write_days(folder, range(7 * QUIET_WEEKS, 7 * QUIET_WEEKS + 15), factor=4.0)
    return folder


def statuses(records):
    return [record.status for record in records]


@pytest.fixture
def grown(run, tmp_path):
    """A copy whose files appear when asked for, one after the other."""
    (tmp_path / "run" / "log").mkdir(parents=True)

    def grow(number):
        for topic in (LABELS, DECISIONS):
            path = run / "log" / f"{topic}-{number:06d}.parquet"
            (tmp_path / "run" / "log" / path.name).hardlink_to(path)

    return tmp_path / "run", grow


def test_it_collects_its_reference_stays_quiet_and_alarms_when_amounts_change(run, tmp_path):
    (tmp_path / "log").symlink_to(run / "log")
    records = WeekWatch(tmp_path, START_MS).look()
    assert statuses(records) == ["reference"] * FEWEST_WEEKS + ["quiet"] * 2 + ["alarm"] * 2
    assert [record.start_ms for record in records] == [START_MS + n * WEEK_MS for n in range(2, 14)]
    assert records[-1].beyond[0].name in ("area of amount", "psi of amount")
    assert read_weeks(tmp_path) == records
    assert "2024-04-01 to 2024-04-08: alarm" in week_text(records[-1])
    assert f"{records[-1].beyond[0].name} " in week_text(records[-1])


def test_file_by_file_with_kills_it_says_the_same_and_reads_each_file_once(run, grown, tmp_path, monkeypatch):
    whole = tmp_path / "whole"
    whole.mkdir()
    (whole / "log").symlink_to(run / "log")
    expected = WeekWatch(whole, START_MS).look()
    read, reading = [], archived_decisions.read_archived
    monkeypatch.setattr(archived_decisions, "read_archived", lambda p, *a: read.append(p) or reading(p, *a))
    folder, grow = grown
    watch, new = WeekWatch(folder, START_MS), []
    for number in range(1, QUIET_WEEKS + 2):
        grow(number)
        if number == 8:
            assert len(read) == len(set(read)) == 2 * 7
            watch = WeekWatch(folder, START_MS)  # the process before was killed
        new += watch.look()
        assert watch.look() == []
    assert new == expected == read_weeks(folder)


def test_a_promotion_begins_a_new_reference(tmp_path):
    for week in range(QUIET_WEEKS):
        write_days(tmp_path, range(7 * week, 7 * week + 7))
    before = range(7 * QUIET_WEEKS, 7 * QUIET_WEEKS + 3)
    after = range(before.stop, before.stop + 4 * 7)
    write_days(tmp_path, before)
    write_days(tmp_path, after, version=NEW)
    records = WeekWatch(tmp_path, START_MS).look()
    assert statuses(records)[-5:] == ["quiet", "promotion", *["reference"] * 3]
    assert [record.champion for record in records[-5:]] == [OLD, NEW, NEW, NEW, NEW]
    assert [record.mature.champion for record in records[-5:]] == [OLD, OLD, OLD, "", NEW]
    assert [record.reference_weeks for record in records[-5:]] == [FEWEST_WEEKS, 0, 1, 2, 3]


def test_a_straggler_of_the_model_before_is_no_promotion(tmp_path):
    for week in range(4):
        rows = [row for day in range(7 * week, 7 * week + 8) for row in decisions(day)]
        rows[3] |= {"model_version": NEW} if week == 2 else {}
        write(tmp_path, DECISIONS, rows)
        write(tmp_path, LABELS, frauds(rows))
    assert statuses(WeekWatch(tmp_path, START_MS).look()) == ["reference"] * 2


def test_repeats_challengers_and_decisions_without_state_are_left_out(tmp_path):
    good = decisions(0)
    write(tmp_path, DECISIONS, good)
    write(tmp_path, DECISIONS, good)  # a scorer decided them again
    write(tmp_path, DECISIONS, decisions(1, variant="challenger"))
    write(tmp_path, DECISIONS, decisions(2, degraded=True))
    write(tmp_path, DECISIONS, decisions(3, features=[]))
    write(tmp_path, DECISIONS, decisions(4, probability=None))
    write(tmp_path, DECISIONS, [{**row, "error": "value: no JSON"} for row in decisions(5)])
    archive = ArchivedDecisions(tmp_path)
    parts = list(archive.read())
    assert sorted(tx for part in parts for tx in part.rows.tx_ids.to_pylist()) == sorted(
        row["tx_id"] for row in good
    )
    assert archive.whole_ms // DAY == START_MS // DAY + 4, "of all that were decided"


def test_a_partition_that_fell_silent_does_not_stop_the_weeks(tmp_path):
    for week in range(6):
        rows = [row for day in range(6 * week, 6 * week + 6) for row in decisions(day)]
        kept = rows if not week else [row for row in rows if row["source_partition"] == 0]
        write(tmp_path, DECISIONS, kept)
    assert len(WeekWatch(tmp_path, START_MS).look()) == 1, "a week later than with both"


def test_the_vectors_of_training_are_a_reference_from_the_first_week(tmp_path):
    rows = [row for day in range(-70, 0) for row in decisions(day)]
    table = pa.table(
        {name: [row[name] for row in rows] for name in ("tx_id", "ts", "card_id", "amount_cents")}
    )
    vectors = np.array([row["features"] for row in rows], np.float32)
    training = list(training_weeks(table, vectors, START_MS))
    assert len(training) == FEWEST_WEEKS
    write_days(tmp_path, range(21))
    write_days(tmp_path, range(21, 29), factor=4.0)
    records = WeekWatch(tmp_path, START_MS, training).look()
    assert statuses(records) == ["quiet", "alarm"]
    assert {signal.against for signal in records[-1].signals} == {"training"}
    assert not [signal for signal in records[-1].signals if "score" in signal.name or "rate" in signal.name]


def test_the_last_week_stands_in_the_metrics(run, tmp_path):
    def value(name, **labels):
        return registry.get_sample_value(name, labels)

    (tmp_path / "log").symlink_to(run / "log")
    records = WeekWatch(tmp_path, START_MS).look()
    before = value("fraudsim_drift_weeks_total", status="alarm") or 0
    count_week(records[-1])
    show_week(records[-1])
    worst = records[-1].beyond[0]
    assert value("fraudsim_drift_weeks_total", status="alarm") == before + 1
    assert value("fraudsim_drift_week_signals_beyond") == len(records[-1].beyond)
    named = {"against": "line", "signal": worst.name}
    assert value("fraudsim_drift_week_distance", **named) == worst.distance > worst.limit
    assert value("fraudsim_drift_week_limit", **named) == worst.limit
    assert value("fraudsim_drift_week_status", status="alarm") == 1
    assert value("fraudsim_cost_share") == records[-1].mature.cost_share
    show_week(records[0])  # a reference week: nothing is compared
    assert value("fraudsim_drift_week_distance", **named) is None
    assert value("fraudsim_drift_week_signals_beyond") == 0


def test_a_file_that_cannot_be_read_is_one_line(tmp_path):
    write_days(tmp_path, range(3))
    (tmp_path / "log" / f"{DECISIONS}-000002.parquet").write_bytes(b"PAR1")
    with pytest.raises(
        FraudsimError, match=r"decisions-000002.parquet: .*restore it, or remove it"
    ) as raised:
        WeekWatch(tmp_path, START_MS).look()
    assert "\n" not in str(raised.value)
    (tmp_path / WEEKS_FILE).parent.mkdir()
    (tmp_path / WEEKS_FILE).write_text("{")
    with pytest.raises(FraudsimError, match=r"weeks.json: .*remove it, and `fraudsim drift` makes it again"):
        WeekWatch(tmp_path, START_MS)


def test_what_was_said_of_another_log_is_not_gone_on_with(run, tmp_path):
    (tmp_path / "log").symlink_to(run / "log")
    WeekWatch(tmp_path, START_MS).look()
    with pytest.raises(FraudsimError, match=r"drift/weeks.json is of another log; remove it"):
        WeekWatch(tmp_path, START_MS + DAY)
