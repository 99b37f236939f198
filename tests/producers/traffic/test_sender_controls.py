"""The sender's controls when their log can be read no more: the sender is told, and nothing waits."""

import asyncio
import threading

import pytest

from fraudsim.log.events import RunControl
from fraudsim.polling import poll_until
from producers.controls.control_log import ControlLog
from producers.traffic import sender_controls
from producers.traffic.sender_controls import SenderControls
from producers.world.config import WorldConfig
from producers.world.world import World

LONG_S = 30.0
ATTACK = RunControl(control_id="c1", kind="attack", ts=0, typology="card_testing")


@pytest.fixture(scope="module")
def world():
    return World(WorldConfig(cards=200, seed=5))


@pytest.mark.parametrize("error", [asyncio.CancelledError(), OSError("no route")])
def test_a_place_that_cannot_be_read_back_is_not_waited_for(monkeypatch, world, error):
    appended, stop = threading.Event(), threading.Event()

    async def catch_up(self):
        if appended.is_set():
            raise error
        self.controls.add(ATTACK)

    monkeypatch.setattr(ControlLog, "catch_up", catch_up)
    monkeypatch.setattr(sender_controls, "append_control", lambda bootstrap, control: appended.set())
    controls = SenderControls("nowhere:1", world, 1.0, 10.0**15, stop)
    with controls:
        assert controls.may_pass(world.day_start_ms(40), 0)
        assert appended.wait(LONG_S), "the attack has been given its place"
        assert stop.wait(LONG_S), "the sender is told to end"
        assert poll_until(lambda: controls.has_added, LONG_S, every_s=0.01)
    assert not controls._thread.is_alive(), "it waits no more for a place to be read back"
    assert controls.failure is not None
    assert str(controls.failure) in ("no route", "reading was ended by CancelledError")
