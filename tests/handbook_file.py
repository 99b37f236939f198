"""Three weeks of the Handbook's published data as one Parquet file, if this machine has it."""

import os
from pathlib import Path

import pytest

REAL = Path(
    os.environ.get(
        "FRAUDSIM_TEST_HANDBOOK",
        Path(__file__).parents[2] / "shared" / "data" / "handbook-2018-04-01-to-21.parquet",
    )
)
needs_the_file = pytest.mark.skipif(
    not REAL.is_file(), reason="the Handbook's file is not on this machine (FRAUDSIM_TEST_HANDBOOK)"
)
