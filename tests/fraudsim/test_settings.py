"""Names of settings: a misspelt one is refused, what belongs to others is left alone."""

from pathlib import Path

import pytest

from fraudsim.errors import FraudsimError
from fraudsim.settings import load_settings


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("FRAUDSIM_KAFKA_BOOTSRAP", "FRAUDSIM_KAFKA_BOOTSTRAP"),
        ("FRAUDSIM_REDIS_URI", "FRAUDSIM_REDIS_URL"),
        ("FRAUDSIM_WOLRD__TEMPO", "FRAUDSIM_WORLD"),
        ("fraudsim_slot", "FRAUDSIM_SLOTS"),
    ],
)
def test_a_misspelt_setting_is_refused(name, near, monkeypatch):
    monkeypatch.setenv(name, "1")
    with pytest.raises(FraudsimError, match=rf"^setting {name}: there is none .* to {near}, or unset"):
        load_settings()


def test_so_is_one_in_env(monkeypatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("FRAUDSIM_PARTITION=2\n")
    with pytest.raises(FraudsimError, match="rename it to FRAUDSIM_PARTITIONS"):
        load_settings()


@pytest.mark.parametrize("name", ["FRAUDSIM_LOAD_RATE", "FRAUDSIM_IMAGE", "FRAUD_SLOT"])
def test_other_programs_variables_are_left_alone(name, monkeypatch):
    monkeypatch.setenv(name, "1")
    load_settings()
