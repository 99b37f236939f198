"""The schedule: its rate, its shape, its split among workers."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudsim.errors import FraudsimError
from load_tests.load.arrivals.bounds import check_connections, check_rate, check_seconds
from load_tests.load.arrivals.recorded import recorded_gaps, write_bodies
from load_tests.load.arrivals.schedule import schedule_us, share_numbers
from load_tests.load.arrivals.shapes import parse_shape
from load_tests.load.generators.bodies import BodySupply
from load_tests.load.generators.plan import LoadPlan
from producers.history.writer import write_history
from producers.world.config import WorldConfig
from producers.world.world import World
from scorer.http.schemas import ScoreRequest


def counts_by_second(text: str, rate: float, seconds: int, seed: int = 1) -> np.ndarray:
    times = schedule_us(parse_shape(text), rate, seconds, seed)
    assert (np.diff(times) >= 0).all()
    assert 0 <= times[0] <= times[-1] < seconds * 1e6
    return np.bincount(times // 1_000_000, minlength=seconds)


def test_constant_arrivals_are_a_comb():
    assert schedule_us(parse_shape("constant"), 4, 1, 1).tolist() == [0, 250_000, 500_000, 750_000]


@given(
    rate=st.floats(0.5, 500),
    seconds=st.floats(0.5, 30),
    seed=st.integers(0, 1000),
    shape=st.sampled_from(["constant", "poisson", "steps:1,2", "ramp:0.5,2", "bursts:5,1,10"]),
)
def test_a_schedule_is_the_same_for_a_seed_and_its_shares_are_all_of_it(rate, seconds, seed, shape):
    times = schedule_us(parse_shape(shape), rate, seconds, seed)
    assert (times == schedule_us(parse_shape(shape), rate, seconds, seed)).all()
    shares = [share_numbers(len(times), index, 3) for index in range(3)]
    assert sorted(np.concatenate(shares).tolist()) == list(range(len(times)))


def test_poisson_counts_vary_as_much_as_their_mean():
    counts = counts_by_second("poisson", 50, 2_000)
    assert counts.mean() == pytest.approx(50, rel=0.02)
    assert counts.var() == pytest.approx(50, rel=0.1)
    assert (counts_by_second("poisson", 50, 2_000, seed=2) != counts).any()


def test_steps_ramps_and_bursts_follow_their_multiples():
    steps = counts_by_second("steps:1,3", 100, 400)
    assert steps[:200].mean() == pytest.approx(100, rel=0.03)
    assert steps[200:].mean() == pytest.approx(300, rel=0.03)
    ramp = counts_by_second("ramp:1,3", 100, 400)
    assert ramp[:40].mean() == pytest.approx(110, rel=0.05)
    assert ramp[-40:].mean() == pytest.approx(290, rel=0.05)
    bursts = counts_by_second("bursts:5,2,10", 100, 400)
    assert bursts[np.arange(400) % 10 < 2].mean() == pytest.approx(500, rel=0.03)
    assert bursts[np.arange(400) % 10 >= 2].mean() == pytest.approx(100, rel=0.03)


@pytest.mark.parametrize(
    "text",
    [
        "tides",
        "steps",
        "steps:",
        "steps:a",
        "ramp:1",
        "bursts:1,2",
        "bursts:2,5,5",
        "poisson:3",
        "steps:0",
        "recorded",
    ],
)
def test_a_shape_that_is_none_is_named(text):
    with pytest.raises(FraudsimError, match=f"^--arrivals {text}: "):
        parse_shape(text)


def test_a_load_is_bounded_in_rate_time_and_connections():
    for rate in (0, -1, float("nan"), float("inf"), 1e9):
        with pytest.raises(FraudsimError, match=r"^--rate "):
            check_rate(rate)
    for seconds in (0, float("inf"), 1e6):
        with pytest.raises(FraudsimError, match=r"^--seconds "):
            check_seconds(seconds, 1)
    with pytest.raises(FraudsimError, match="requests, over"):
        check_seconds(20_000, 10_000)
    for connections in (0, 100_000):
        with pytest.raises(FraudsimError, match=r"^--connections "):
            check_connections(connections)


def test_a_history_gives_its_gaps_and_its_transactions(tmp_path):
    history = write_history(tmp_path / "history", World(WorldConfig(cards=60, seed=3)), 10)
    shape = parse_shape(f"recorded:{tmp_path / 'history'}")
    times = schedule_us(shape, 50, 20, 1)
    assert len(times) == pytest.approx(1000, rel=0.05)
    gaps_s = recorded_gaps(tmp_path / "history")
    # As uneven as the recording: night and day.
    assert np.diff(times).std() / np.diff(times).mean() == pytest.approx(
        gaps_s.std() / gaps_s.mean(), rel=0.3
    )
    write_bodies(tmp_path / "history", tmp_path / "bodies.jsonl")
    plan = LoadPlan(run_id="r", folder="", rate=50, seconds=1, bodies=str(tmp_path / "bodies.jsonl"))
    supply = BodySupply(plan)
    bodies = [msgspec.json.decode(supply.body(number), type=ScoreRequest) for number in range(300)]
    assert len({body.tx_id for body in bodies}) == 300
    assert len({body.card_id for body in bodies}) > 20
    assert history.transactions >= len((tmp_path / "bodies.jsonl").read_bytes().splitlines()) > 100
    batch = msgspec.structs.replace(plan, batch=3)
    ids = [item["tx_id"] for item in msgspec.json.decode(BodySupply(batch).body(1))["transactions"]]
    assert ids == ["load-r-3", "load-r-4", "load-r-5"]
