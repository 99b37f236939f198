"""The world by settings: what is asked for is made, and what makes no sense names the variable."""

import pytest

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings, load_settings
from producers.labels.delays import LabelDelays
from producers.world.config import WorldConfig
from producers.world.settings import consequences, label_delays, world_config


def settings(monkeypatch, **variables):
    for name, value in variables.items():
        monkeypatch.setenv(f"FRAUDSIM_{name}", value)
    return Settings(_env_file=None)


def test_a_value_that_is_no_number_names_its_variable(monkeypatch):
    monkeypatch.setenv("FRAUDSIM_WORLD__CAMOUFLAGE", "much")
    with pytest.raises(
        FraudsimError, match="FRAUDSIM_WORLD__CAMOUFLAGE='much': Input should be a valid number"
    ):
        load_settings()


def every_parameter(configured):
    world_config(configured, 500)
    label_delays(configured)
    consequences(configured)


def test_without_settings_the_world_is_the_default_one(monkeypatch):
    assert world_config(settings(monkeypatch), 500) == WorldConfig(cards=500)


def test_parameters_come_from_variables_one_by_one_or_together(monkeypatch):
    configured = settings(
        monkeypatch,
        SEED="9",
        WORLD='{"fraud_scale": 2, "merchants": 40}',
        WORLD__CAMOUFLAGE="0.8",
        LABEL_DELAYS__NEVER="0.1",
        CONSEQUENCES__ANALYSTS="3",
    )
    assert world_config(configured, 500) == WorldConfig(
        cards=500, seed=9, merchants=40, fraud_scale=2, camouflage=0.8, delays=LabelDelays(never=0.1)
    )
    assert isinstance(world_config(configured, 500).merchants, int)
    assert consequences(configured).analysts == 3


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WORLD__CAMOUFLAG": "1"}, "FRAUDSIM_WORLD__CAMOUFLAG is not known; there are camouflage, "),
        ({"WORLD__CAMOUFLAGE": "3"}, "FRAUDSIM_WORLD: world: camouflage=3.0 must be between 0 and 1"),
        ({"WORLD__MERCHANTS": "3.5"}, "FRAUDSIM_WORLD__MERCHANTS=3.5 must be a whole number"),
        ({"WORLD__CARDS": "3"}, "FRAUDSIM_WORLD__CARDS: give it by --cards"),
        (
            {"LABEL_DELAYS__NEVER": "-1"},
            "FRAUDSIM_LABEL_DELAYS: label delays: never=-1.0 must be a number, 0 or more",
        ),
        (
            {"LABEL_DELAYS__NEVER": "0.9"},
            "label delays: never=0.9, analyst=0.15 and customer=0.55 come to 1.6; at most 1",
        ),
        (
            {"LABEL_DELAYS__CHARGEBACK_MAX_DAYS": "150"},
            "label delays: chargeback_max_days=150.0 is 150 days, beyond the 120 days",
        ),
        ({"LABEL_DELAYS__FALSE_DISPUTES": "3"}, "label delays: false_disputes=3.0 is a share, at most 1"),
        (
            {"LABEL_DELAYS__CLEARING_MIN_DAYS": "50"},
            "label delays: clearing_min_days=50.0 is more than clearing_max_days=20.0",
        ),
        (
            {"LABEL_DELAYS__CUSTOMER_MEDIAN_HOURS": "500"},
            "label delays: customer_median_hours=500.0 is more than customer_max_hours=336.0",
        ),
        ({"CONSEQUENCES__ANALYSTS": "1.5"}, "FRAUDSIM_CONSEQUENCES: analysts=1.5 must be a whole number"),
    ],
)
def test_a_bad_value_is_one_line_with_the_variable_and_the_value(monkeypatch, variables, message):
    configured = settings(monkeypatch, **variables)
    with pytest.raises(FraudsimError) as error:
        every_parameter(configured)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
