import pytest

from fraudsim.errors import FraudsimError
from producers.sources.world_source import WorldSource
from producers.world.config import WorldConfig
from producers.world.world import World
from runner.line.speed import consistent_speed, speed_for, speed_of_run

WORLD = World(WorldConfig(cards=200, seed=3))
FIRST_DAY = 40


@pytest.mark.parametrize(("rate", "seconds"), [(0.1, 1.0), (20.0, 3.0), (50.0, 60.0)])
def test_a_run_sends_as_many_as_its_rate_says(rate: float, seconds: float) -> None:
    speed = speed_of_run(WORLD, FIRST_DAY, rate, seconds)
    source = WorldSource(WORLD, FIRST_DAY, labels=False)
    sent = 0
    for item in source.items():
        if item.due_ms >= source.start_ms + seconds * speed * 1000:
            break
        sent += item.topic == "transactions"
    assert sent == pytest.approx(max(1, rate * seconds), abs=1)


def test_without_an_end_a_mean_day_gives_the_speed() -> None:
    assert speed_for(rate=2.0, transactions_per_day=86_400) == 2.0


def test_a_speed_may_differ_a_little_and_not_more() -> None:
    assert consistent_speed(None, 100.0, 500.0, 5_000) == 100.0
    assert consistent_speed(101.0, 100.0, 500.0, 5_000) == 101.0
    with pytest.raises(FraudsimError, match=r"--speed 50 contradicts --rate 500.*speed 100\.0.*rate 250\.0"):
        consistent_speed(50.0, 100.0, 500.0, 5_000)
