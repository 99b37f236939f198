"""Controls of a run's processes whose log can be read no more: the run says so, once, and goes on."""

import asyncio
import threading

from producers.controls.control_log import ControlLog
from runner.line.run_controls import RunControls

LONG_S = 30.0


def test_a_run_says_that_its_controls_are_not_carried_out_any_more(monkeypatch, tmp_path):
    reads, told, said = [], threading.Event(), []

    async def catch_up(self):
        reads.append(1)
        if len(reads) > 1:
            raise asyncio.CancelledError

    def say(text):
        said.append(text)
        told.set()

    monkeypatch.setattr(ControlLog, "catch_up", catch_up)
    with RunControls("nowhere:1", None, tmp_path, say):
        assert told.wait(LONG_S)
    assert len(said) == 1
    assert said[0].startswith(
        "kill, stop, model and policy are not carried out any more: reading was ended by CancelledError"
    )
