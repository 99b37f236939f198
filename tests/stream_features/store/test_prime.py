"""Priming: only the history that the log follows, and for the number of slots that will be read."""

import re
import uuid

import msgspec
import numpy as np
import pytest
from redis import Redis
from typer.testing import CliRunner

from fraudsim.errors import FraudsimError
from fraudsim.log.clock_log import start_log
from fraudsim.log.partitioning import slot_of
from fraudsim.log.topics import create_topics
from fraudsim.settings import Settings
from stream_features.cli import app
from stream_features.kernels import state
from stream_features.offline.history_tables import history_fingerprint
from stream_features.store.keys import blob_key, fresh_key, watermark_key
from stream_features.store.prime import REPLACING, check_history, prime, replace_state
from stream_features.store.watermark import decode_watermark
from testing.samples.log import make_segment

MINE, OTHER = "a" * 64, "b" * 64


def segment(fingerprint=MINE):
    return make_segment(
        log_id=uuid.uuid4().hex,
        history="runs/one/history" if fingerprint else "",
        history_fingerprint=fingerprint,
    )


def test_the_fingerprint_is_the_manifest_s(tmp_path):
    (tmp_path / "manifest.json").write_text(f'{{"cards": 5, "fingerprint": "{MINE}"}}')
    assert history_fingerprint(tmp_path) == MINE


@pytest.mark.parametrize("content", [None, "{", "{}", '{"fingerprint": 5}'])
def test_a_folder_without_a_fingerprint_is_refused_with_the_next_step(tmp_path, content):
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(FraudsimError, match=r"manifest\.json cannot be read .*fraudsim world generate"):
        history_fingerprint(tmp_path)


@pytest.mark.parametrize(
    ("fingerprint", "log_history", "words"),
    [
        (OTHER, MINE, ["history bbbbbbbbbbbbbbbb", "follows history aaaaaaaaaaaaaaaa", "--history"]),
        ("", MINE, ["without history", "follows history aaaaaaaaaaaaaaaa", "runs/one/history"]),
        (OTHER, "", ["history bbbbbbbbbbbbbbbb", "follows none", "fraudsim features init"]),
    ],
)
def test_a_history_the_log_does_not_follow_is_refused_before_redis_is_touched(
    fingerprint, log_history, words
):
    nowhere = Settings(_env_file=None, redis_url="redis://127.0.0.1:1/0")
    with pytest.raises(FraudsimError) as refused:
        prime(nowhere, segment(log_history), {}, fingerprint, force=True)
    message = str(refused.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_the_history_that_the_log_follows_is_taken():
    check_history(MINE, segment())
    check_history("", segment(""))


def table(keys):
    rows = np.array([[1, 2, 3, 4, -1]], np.int64)
    folded = state.fold("card", state.empty("card"), rows, state.NO_LABELS, 1)
    return {("card", f"c{n}"): folded for n in range(keys)}


@pytest.fixture
def settings(stack):
    """A Redis database of the test's own, empty before and after."""
    url = stack.redis_url.removesuffix("/0") + "/5"
    with Redis.from_url(url) as redis:
        redis.flushdb()
        yield Settings(_env_file=None, kafka_bootstrap=stack.kafka_bootstrap, redis_url=url)
        redis.flushdb()


@pytest.mark.stack
def test_state_for_another_number_of_slots_is_refused_and_replaced_whole_by_force(settings):
    first = segment()
    sixteen = settings.model_copy(update={"slots": 16})
    assert prime(sixteen, first, table(100), MINE) == "primed"
    assert prime(sixteen, first, table(100), MINE) == "already primed"
    with pytest.raises(FraudsimError, match="one of 16 slots, FRAUDSIM_SLOTS is 8"):
        prime(settings, first, table(100), MINE)
    assert prime(settings, first, table(100), MINE, force=True) == "primed"
    with Redis.from_url(settings.redis_url) as redis:
        names = {name.decode() for name in redis.keys("*:card:*")}
        assert names == {blob_key(slot_of("card", f"c{n}", 8), "card", f"c{n}") for n in range(100)}
        assert decode_watermark(redis.get(watermark_key(7))).slots == 8
        assert redis.get(watermark_key(8)) is None
    with pytest.raises(FraudsimError, match="one of 8 slots, FRAUDSIM_SLOTS is 16"):
        prime(sixteen, first, table(100), MINE)


def replace_while(settings, first, meanwhile):
    """Prime 50 keys; `meanwhile` is called once the old watermarks are deleted."""

    def patterns():
        meanwhile()
        yield "{s*}:*"

    with Redis.from_url(settings.redis_url) as redis:
        try:
            replace_state(redis, settings, first, table(50), patterns(), range(8), (-1,) * 8)
        finally:
            state = len(redis.keys("*:card:*")), redis.exists(*[watermark_key(s) for s in range(8)])
    return state


@pytest.mark.stack
def test_of_two_that_replace_the_state_at_once_one_is_refused(settings):
    first, refused = segment(), []

    def prime_too():
        with pytest.raises(
            FraudsimError, match="another prime, init or rebuild is replacing the state: wait"
        ):
            prime(settings, first, table(5), MINE, force=True)
        refused.append(True)

    assert replace_while(settings, first, prime_too) == (50, 8)
    assert refused
    assert prime(settings, first, table(5), MINE, force=True) == "primed"


@pytest.mark.stack
def test_who_stopped_for_too_long_writes_no_watermark_beside_another(settings):
    with Redis.from_url(settings.redis_url) as redis:
        with pytest.raises(FraudsimError, match="replacing the state stopped for 60 s"):
            replace_while(settings, segment(), lambda: redis.set(REPLACING, "another"))
        assert redis.get(REPLACING) == b"another"
        assert not redis.exists(watermark_key(0))


@pytest.mark.stack
def test_a_full_redis_ends_a_priming_in_one_line(settings):
    with Redis.from_url(settings.redis_url) as redis:
        try:
            with pytest.raises(FraudsimError, match=r"no memory left for the state: raise its maxmemory"):
                replace_while(settings, segment(), lambda: redis.config_set("maxmemory", 1))
        finally:
            redis.config_set("maxmemory", 0)
        assert not redis.exists(watermark_key(0), REPLACING)


@pytest.mark.stack
def test_a_redis_that_is_full_from_the_start_ends_a_priming_in_one_line(settings):
    with Redis.from_url(settings.redis_url) as redis:
        redis.config_set("maxmemory", 1)
        try:
            with pytest.raises(FraudsimError, match=r"no memory left for the state: raise its maxmemory"):
                prime(settings, segment(), {}, MINE, force=True)
        finally:
            redis.config_set("maxmemory", 0)


@pytest.mark.stack
def test_a_primed_state_is_as_old_as_the_log(settings):
    """What the log holds already is not folded, so the state is not fresh by now."""
    first = segment()
    prime(settings, first, table(1), MINE)
    with Redis.from_url(settings.redis_url) as redis:
        assert int(redis.get(fresh_key(0))) == first.wall_epoch_ms


@pytest.fixture
def log_after_mine(settings, monkeypatch):
    """A log that follows history MINE, for `fraudsim features …` in this process."""
    topic = f"{uuid.uuid4().hex[:8]}.run.clock"
    create_topics(settings, topic.removesuffix("run.clock"))
    log = start_log(settings, 0, 1.0, "runs/one/history", MINE, topic)
    monkeypatch.setattr("fraudsim.log.clock_log.open_clock", lambda *_: log)
    monkeypatch.setenv("FRAUDSIM_REDIS_URL", settings.redis_url)
    return log


@pytest.mark.stack
def test_the_commands_refuse_what_the_log_does_not_follow(tmp_path, settings, log_after_mine):
    (tmp_path / "manifest.json").write_bytes(msgspec.json.encode({"fingerprint": OTHER}))
    for argv in (["features", "prime", "--history", str(tmp_path)], ["features", "init"]):
        outcome = CliRunner().invoke(app, argv)
        assert isinstance(outcome.exception, FraudsimError), outcome.output
        assert "follows history aaaaaaaaaaaaaaaa" in str(outcome.exception)
    with Redis.from_url(settings.redis_url) as redis:
        assert redis.dbsize() == 0


@pytest.mark.stack
def test_a_key_can_be_looked_at(settings, log_after_mine, monkeypatch):
    monkeypatch.setattr("stream_features.store.key_inspection.open_clock", lambda *_: log_after_mine)
    prime(settings, log_after_mine.clock.first, table(3), MINE)
    shown = CliRunner().invoke(
        app, ["features", "inspect", "card", "c1", "--at", "1000", "--amount-cents", "40"]
    )
    assert shown.exit_code == 0, shown.output
    assert "1 transactions" in shown.output
    assert "1970-01-01 00:00:00.001" in shown.output
    values = {line.split()[1]: line.split()[3] for line in shown.output.splitlines() if "card_" in line}
    assert values["card_count_1m"] == "2"
    assert values["card_sum_24h"] == "42"
    never = CliRunner().invoke(app, ["features", "inspect", "card", "nobody"])
    assert "0 bytes" in never.output
    assert "never seen" in never.output


@pytest.mark.stack
@pytest.mark.parametrize(
    ("entity", "blob", "words"),
    [
        ("planet", None, "ENTITY 'planet' is not one of card, device, merchant, ip"),
        ("card", b"12345678", "cannot be read .*`fraudsim features prime --force`"),
    ],
)
def test_what_cannot_be_looked_at_is_said_in_a_line(
    settings, log_after_mine, monkeypatch, entity, blob, words
):
    monkeypatch.setattr("stream_features.store.key_inspection.open_clock", lambda *_: log_after_mine)
    prime(settings, log_after_mine.clock.first, table(3), MINE)
    if blob is not None:
        with Redis.from_url(settings.redis_url) as redis:
            redis.set(blob_key(slot_of(entity, "c1", 8), entity, "c1"), blob)
    outcome = CliRunner().invoke(app, ["features", "inspect", entity, "c1"])
    assert isinstance(outcome.exception, FraudsimError)
    assert "\n" not in str(outcome.exception)
    assert re.search(words, str(outcome.exception))
