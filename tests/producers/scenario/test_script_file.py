import pytest

from fraudsim.durations import duration_ms
from fraudsim.errors import FraudsimError
from producers.scenario.schema import Attack, Drift, Fault
from producers.scenario.script_file import read_script

GOOD = """\
version: 1
seed: 3
events:
  - event: attack
    typology: card_testing
    at: 2h
    campaigns: 5
  - event: drift
    kind: gradual
    from: 1h
    until: 1.5d
    amounts: 1.4
    category: grocery
  - event: fault
    kind: late
    from: 0s
    until: 10h
    share: 0.02
    limits: 2
"""


def refusal(tmp_path, text):
    path = tmp_path / "script.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(FraudsimError) as error:
        read_script(path)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(f"script {path}: ")
    return message.removeprefix(f"script {path}: ")


def test_a_script_is_read(tmp_path):
    (tmp_path / "s.yaml").write_text(GOOD)
    script = read_script(tmp_path / "s.yaml")
    attack, drift, fault = script.events
    assert isinstance(attack, Attack)
    assert (attack.campaigns, attack.camouflage, duration_ms(attack.at)) == (5, 0.5, 7_200_000)
    assert isinstance(drift, Drift)
    assert duration_ms(drift.until) == 129_600_000
    assert isinstance(fault, Fault)
    assert fault.limits == 2


@pytest.mark.parametrize(
    ("old", "new", "line", "field"),
    [
        ("version: 1", "version: 2", 1, "version"),
        ("seed: 3", "seed: -1", 2, "seed"),
        ("seed: 3", "sead: 3", 1, "sead"),
        ("typology: card_testing", "typology: card_tasting", 5, "typology"),
        ("typology: card_testing", "typology: lost_card\n    tempo: 5", 6, "tempo"),
        ("typology: card_testing", "typology: card_testing\n    tempo: 0", 6, "tempo"),
        ("at: 2h", "at: two hours", 6, "at"),
        ("campaigns: 5", "campaigns: 0", 7, "campaigns"),
        ("campaigns: 5", "campaign: 5", 4, "campaign"),
        ("event: drift", "event: drifting", 8, "drifting"),
        ("until: 1.5d", "until: 30m", 11, "until"),
        ("amounts: 1.4", "amounts: 400", 12, "amounts"),
        ("amounts: 1.4", "amounts: much", 12, "amounts"),
        ("category: grocery", "category: groceries", 13, "category"),
        ("share: 0.02", "share: 2", 18, "share"),
        ("limits: 2", "limits: 1", 19, "limits"),
        ("limits: 2", "", 15, "limits"),
        ("kind: late", "kind: lost", 15, "kind"),
        ("kind: late", "kind: malformed", 19, "limits"),
        ("kind: late", "kind: out_of_order", 19, "limits"),
        ("seed: 3", "seed: 3\nseed: 4", 3, "seed"),
        ("share: 0.02", "share: [0.02", 19, ""),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, old, new, line, field):
    assert old in GOOD
    message = refusal(tmp_path, GOOD.replace(old, new, 1))
    assert message.startswith(f"line {line}: "), message
    assert field in message


def test_what_is_no_script_is_refused(tmp_path):
    assert refusal(tmp_path, "")
    assert refusal(tmp_path, "version: 1\nevents: []\n").startswith("line 2: events")
    assert refusal(tmp_path, "- 1\n").startswith("line 1: ")
    assert refusal(tmp_path, b"version: \xff\n") == "byte 9 is not UTF-8"
    assert refusal(tmp_path, "version: !!python/object:os.system {}\n")
    assert "at most" in refusal(tmp_path, "# " + "x" * 1_000_001)
    with pytest.raises(FraudsimError, match="No such file"):
        read_script(tmp_path / "absent.yaml")
