"""The relay of a stream's self-check: copies records between two topics and does nothing else.

    python -m load_tests.load.streaming.bare_relay PREFIX

It says `ready` when it reads, and ends on a signal.
"""

import sys

from fraudsim.settings import load_settings
from runner.line.null_relay import run_relay

if __name__ == "__main__":
    run_relay(load_settings(), sys.argv[1], lambda: print("ready", flush=True))
