"""What a long-lived process asks of its collector."""

import subprocess
import sys

from fraudsim.garbage_collection import YOUNG

SETTLED = (
    "import gc; from fraudsim.garbage_collection import settle; freeze_gc(); "
    "print(*gc.get_threshold(), gc.get_freeze_count())"
)


def test_what_start_up_made_is_left_alone_and_the_young_are_seldom_walked():
    found = subprocess.run([sys.executable, "-c", SETTLED], capture_output=True, text=True, check=True)
    young, _, _, left_alone = map(int, found.stdout.split())
    assert young == YOUNG > 700
    assert left_alone > 1_000
