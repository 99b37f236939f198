from fraudsim.archive import *  # noqa: F403
from fraudsim.archive import (
    Record,
    Ranges,
    gaps_in,
    log_files,
    log_folder,
    merge_ranges,
    read_ranges,
    write_file,
)  # noqa
