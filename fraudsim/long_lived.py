"""What start-up made lives as long as the process: the collector need not walk it again."""

import gc


def settle() -> None:
    """Collect once, and keep what is left out of later collections.

    Imports and compiled kernels are some hundred thousand objects. A full collection walks them all, in
    60 to 180 ms here, several times in the first minute, while the process does nothing else.
    """
    gc.collect()
    gc.freeze()
