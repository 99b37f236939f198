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
