"""A scenario with bad data of every kind, a peak, an attack and an outage, played live."""

import pytest

from fraudsim.archive.log_files import read_log
from fraudsim.log.clock import future_limit_ms, past_limit_ms
from fraudsim.log.topics import DEAD_LETTERS, TRANSACTIONS, TRUTH
from fraudsim.settings import Settings
from producers.history.reader import read_history, world_of
from producers.scenario.script_file import read_script
from producers.scenario.scripted_source import ScriptedSource
from producers.sources.source import RawValue
from producers.sources.world_source import WorldSource
from runner.line.options import LineOptions
from testing.rigs.live_line import run_line

pytestmark = pytest.mark.stack
SCRIPT = """\
version: 1
events:
  - {event: fault, kind: late, from: 0s, until: 1d, share: 0.05, limits: 2}
  - {event: fault, kind: late, from: 0s, until: 1d, share: 0.05, limits: 0.5}
  - {event: fault, kind: out_of_order, from: 0s, until: 1d, share: 0.1, limits: 0.5}
  - {event: fault, kind: clock_skewed, from: 0s, until: 1d, share: 0.03, limits: 2}
  - {event: fault, kind: duplicated, from: 0s, until: 1d, share: 0.05}
  - {event: fault, kind: malformed, from: 0s, until: 1d, share: 0.05}
  - {event: attack, typology: card_testing, at: 10m, campaigns: 8}
  - {event: peak, from: 1h, until: 2h, times: 2}
  - {event: outage, merchant: m000003, from: 0s, until: 1d}
"""


SECONDS = 8.0


def play(folder, script, reuse=None):
    """Run the script live; returns (sent, repeats, fields of the dead letters, campaigns) and the speed."""
    folder.mkdir()
    options = LineOptions(
        folder,
        seconds=SECONDS,
        rate=80,
        cards=600,
        history_days=40,
        null_seconds=0,
        script=script,
        reuse=reuse,
    )
    summary = run_line(options, Settings(_env_file=None, label_gap_days=7), brute_force=10)
    assert summary["lost"] == summary["duplicated"] == 0
    assert summary["parity"]["mismatches"] == 0
    letters = read_log(folder, DEAD_LETTERS, ["field"])["field"].to_pylist()
    assert summary["dead_lettered"] == len(letters)
    truth = read_log(folder, TRUTH, ["campaign_id"])["campaign_id"].to_pylist()
    campaigns = {name for name in truth if name is not None and name.startswith("script-")}
    return (summary["sent"], summary["repeats"], sorted(letters), len(campaigns)), summary["speed"]


def expected(folder, script, speed):
    """Numbers sent, repeated and rejected, from the source alone."""
    history = read_history(folder / "history")
    world = world_of(history)
    source = ScriptedSource(WorldSource(world, history.manifest.days), read_script(script), speed, world)
    ids, repeats, rejected = set(), 0, 0
    for item in source.items():
        if item.due_ms >= source.start_ms + SECONDS * speed * 1000:
            return len(ids), repeats, rejected
        if item.topic != TRANSACTIONS:
            continue
        delay_ms = 0 if isinstance(item.event, RawValue) else item.due_ms - item.event.ts
        if isinstance(item.event, RawValue) or not -future_limit_ms(speed) < delay_ms < past_limit_ms(speed):
            rejected += 1
        elif item.event.tx_id in ids:
            repeats += 1
        else:
            ids.add(item.event.tx_id)
    raise AssertionError("the source ended")


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "script.yaml"
    path.write_text(SCRIPT)
    return path


def test_a_script_played_live_comes_to_what_its_source_says(tmp_path, script):
    (sent, repeats, letters, campaigns), speed = play(tmp_path / "run", script)
    assert (sent, repeats, len(letters)) == expected(tmp_path / "run", script, speed)
    assert sent > 300
    assert repeats > 10
    assert len(letters) > 30
    assert {"ts", "amount_cents", "card_id"} <= set(letters)
    assert campaigns == 8


@pytest.mark.long
def test_a_script_played_twice_gives_the_same_counts(tmp_path, script):
    first, _ = play(tmp_path / "once", script)
    second, _ = play(tmp_path / "again", script, reuse=tmp_path / "once")
    assert first == second
