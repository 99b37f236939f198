"""Waits for a child to exit without reaping it, so that its pid is not reused meanwhile."""

import os
import select
import sys


def wait_for_exit(pid: int) -> None:
    """Block until the child `pid` has exited; it stays a zombie until it is waited for."""
    if sys.platform == "darwin":
        # os.waitid came to macOS with Python 3.13.
        queue = select.kqueue()
        try:
            event = select.kevent(
                pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD | select.KQ_EV_ONESHOT, select.KQ_NOTE_EXIT
            )
            queue.control([event], 1, None)
        except ProcessLookupError:
            return  # it exited before the event was registered
        finally:
            queue.close()
    else:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
