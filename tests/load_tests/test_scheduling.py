"""A generator asks for real time; who was made nice keeps its place."""

import os
import subprocess
import sys

import pytest

from load_tests.rig.scheduling import NORMAL, REAL_TIME

PROGRAM = (
    "import os, sys; os.nice(int(sys.argv[1]))\n"
    "before = os.sched_getscheduler(0)\n"
    "from load_tests.rig.scheduling import run_when_due\n"
    "word, after = run_when_due(), os.sched_getscheduler(0)\n"
    "print(word, before == after, after == os.SCHED_RR, sep='|')"
)

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="this system has no schedulers")


def scheduling(nice: int) -> list[str]:
    program = [sys.executable, "-c", PROGRAM, str(nice)]
    return subprocess.run(program, capture_output=True, text=True, check=True).stdout.strip().split("|")


def test_it_says_how_it_is_scheduled():
    word, unchanged, in_real_time = scheduling(0)
    assert (word == REAL_TIME) == (in_real_time == "True")
    assert (word == NORMAL) == (unchanged == "True")


def test_a_nice_process_keeps_its_place():
    assert scheduling(5)[:2] == [NORMAL, "True"]
