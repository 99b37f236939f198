"""Controls over plain HTTP: who may ask for what, and what comes into the log."""

import json

import pytest

from dashboards.page import control_desk
from fraudsim.errors import FraudsimError
from fraudsim.log import topics
from tests.dashboards.page.served_page import control, decision, record, served, state_of

TOKEN = "t0ken"
PAUSE = {"kind": "pause"}


@pytest.fixture
def log(monkeypatch):
    """What is appended to the topic, which needs no Kafka here."""
    appended = []
    monkeypatch.setattr(control_desk, "append_control", lambda bootstrap, asked: appended.append(asked))
    return appended


@pytest.fixture
def page(log, tmp_path):
    with served(state_of(decision(0)), token=TOKEN, run=tmp_path) as client:
        yield client


def post(page, asked, token=TOKEN, **headers):
    body = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
    given = {"Content_Type": "application/json", "X_Fraudsim_Control": token, **headers}
    return page.get(
        "/controls", method="POST", body=body, **{k: v for k, v in given.items() if v is not None}
    )


def test_what_is_asked_for_comes_into_the_log_with_an_id_and_the_event_time(page, log):
    asked = {"kind": "attack", "typology": "card_testing", "campaigns": 3, "tempo": 2}
    reply = post(page, asked)
    assert reply.status == 202
    (control,) = log
    assert json.loads(reply.body) == {
        "control_id": control.control_id, "text": "attack card_testing, 3 campaigns, 2 tempo",
    }  # fmt: skip
    assert control.ts >= page.feed.state.clock.first.event_epoch_ms
    assert post(page, asked).status == 202
    assert len({control.control_id for control in log}) == 2


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"token": "wrong"}, 403),
        ({"token": ""}, 403),
        ({"token": None}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Host": "evil.example"}, 421),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content_Type": None}, 415),
    ],
)
def test_whoever_lacks_the_token_or_comes_from_elsewhere_controls_nothing(page, log, headers, status):
    assert post(page, PAUSE, **headers).status == status
    assert log == []
    assert page.get("/controls", method="POST", key="", body=b"{}", X_Fraudsim_Control=TOKEN).status == 401
    for method in ("PUT", "DELETE", "PATCH"):
        assert page.get("/controls", method=method, X_Fraudsim_Control=TOKEN).status == 405


def test_a_browser_of_the_page_itself_may(page, log):
    own = f"http://127.0.0.1:{page.port}"
    assert post(page, PAUSE, Origin=own, Sec_Fetch_Site="same-origin").status == 202
    assert [asked.kind for asked in log] == ["pause"]


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({}, "kind"),
        ({"kind": "shutdown"}, "kind"),
        ({"kind": "placed"}, "cannot be asked for here"),
        ({"kind": "pause", "ts": 5}, "ts: a control has no such field"),
        ({"kind": "pause", "control_id": "mine"}, "control_id: a control has no such field"),
        ({"kind": "pause", "<script>": 1}, "a control has no such field"),
        ({"kind": "rate", "share": 1.5}, "share"),
        ({"kind": "rate"}, "share: a rate needs it"),
        ({"kind": "kill", "part": "kafka"}, "part"),
        ({"kind": "stop", "part": "redis", "seconds": 1e9}, "seconds"),
        ({"kind": "attack", "typology": "lost_card", "tempo": 3}, "tempo"),
        ({"kind": "model", "version": "0" * 16}, "has no 0000"),
        ({"kind": "policy", "version": "../../etc"}, "version"),
        ([1], "no control"),
        (b"{", "no control"),
        (b"\xff", "no control"),
        (b"[" * 4000, "no control"),
    ],
)
def test_what_is_no_control_is_named_and_goes_nowhere(page, log, asked, problem):
    reply = post(page, asked)
    assert reply.status == 400
    assert problem in reply.body
    assert "\n" not in reply.body.strip()
    assert log == []


def test_a_body_that_is_too_large_is_not_read_to_its_end(page, log):
    assert post(page, b" " * 1_000_000).status == 413
    assert log == []


def test_in_compose_nobody_can_kill_anything(log):
    with served(state_of(decision(0)), token=TOKEN) as page:
        kinds = json.loads(page.get("/controls").body)["kinds"]
        assert not {"kill", "stop", "model", "policy"} & {*kinds}
        assert post(page, {"kind": "kill", "part": "worker"}).status == 400
        assert post(page, PAUSE).status == 202


def test_without_controls_there_is_no_such_address_and_no_form(log):
    with served(state_of(decision(0))) as page:
        assert post(page, PAUSE).status == 404
        assert 'data-controls="off"' in page.get("/").body
    assert log == []


def test_without_a_log_or_with_kafka_away_it_says_so(log, monkeypatch):
    with served(None, token=TOKEN) as page:
        assert post(page, PAUSE).status == 503
    assert log == []

    def fail(bootstrap, asked):
        raise FraudsimError("run.control takes no record: it is away")

    monkeypatch.setattr(control_desk, "append_control", fail)
    with served(state_of(), token=TOKEN) as page:
        reply = post(page, PAUSE)
    assert (reply.status, reply.body) == (503, "run.control takes no record: it is away")


def test_the_token_is_in_nothing_that_is_served(page):
    with page.events() as (_, events):
        texts = [json.dumps(next(events)), json.dumps(next(events))]
    for path in ("/", "/controls", "/static/controls.js"):
        reply = page.get(path)
        texts += [reply.body, json.dumps(reply.headers)]
    assert not [text for text in texts if TOKEN in text]


def test_controls_are_listed_and_marked_and_without_the_truth_only_those_of_a_bank():
    state = state_of(
        control(0, "attack", typology="card_testing"), control(1, "placed"),
        control(2, "kill", "c2", part="redis"), control(3, "pause", "c3"),
        record(topics.CONTROL, 4, b"{"), control(5, "attack", typology="bin_attack"),
    )  # fmt: skip
    assert state.unreadable == 2
    with served(state) as page:
        with page.events("on") as (_, events):
            seen = dict([next(events), next(events)])
        with page.events("off") as (_, events):
            bank = dict([next(events), next(events)])
    shown = seen["snapshot"]["controls"]
    assert [each["text"] for each in shown] == ["pause", "kill redis", "attack card_testing"]
    assert [each["placed"] is not None for each in shown] == [False, False, True]
    assert seen["snapshot"]["in_force"] == {"share": 1.0, "paused": True}
    assert [kind for _, kind in seen["series"]["marks"]] == ["pause", "kill", "attack"]
    assert [each["text"] for each in bank["snapshot"]["controls"]] == ["kill redis"]
    assert [kind for _, kind in bank["series"]["marks"]] == ["kill"]
    assert "in_force" not in bank["snapshot"]
    assert "attack" not in json.dumps(bank)
