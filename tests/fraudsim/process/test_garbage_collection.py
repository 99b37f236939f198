"""The garbage collector's settings in a long-lived process."""

import subprocess
import sys

from fraudsim.process.garbage_collection import YOUNG

PROGRAM = (
    "import gc; from fraudsim.process.garbage_collection import freeze_gc; freeze_gc(); "
    "print(*gc.get_threshold(), gc.get_freeze_count())"
)


def test_objects_of_start_up_are_frozen_and_the_youngest_are_seldom_scanned():
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    young, _, _, frozen = map(int, result.stdout.split())
    assert young == YOUNG > 700
    assert frozen > 1_000


WATCH = """
import gc
from fraudsim.process.garbage_collection import watch_collections

pauses = []
watch_collections(lambda ms, generation: pauses.append((ms, generation)))
kept = [[number] for number in range(500_000)]
gc.collect()
print(len(pauses), all(ms > 2 for ms, _ in pauses), pauses[-1][1])
"""


def test_a_long_collection_is_reported_with_its_generation() -> None:
    done = subprocess.run([sys.executable, "-c", WATCH], capture_output=True, text=True, check=True)
    count, are_long, generation = done.stdout.split()
    assert (int(count) >= 1, are_long, generation) == (True, "True", "2")
