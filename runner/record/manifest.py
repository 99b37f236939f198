"""The run's manifest: the inputs of the run, by which its archived log can be read and recomputed later."""

import json
from pathlib import Path
from typing import Any

import msgspec

from fraudsim import __version__
from fraudsim.log.clock import Clock
from fraudsim.settings import Settings
from fraudsim.whole_files import write_whole
from producers.history.reader import History
from stream_features.catalogue.features import HASH

RECORDED = (
    "partitions",
    "slots",
    "seed",
    "label_gap_days",
    "http_durability",
    "worker_max_batch",
    "consequences",
    "features_lag",
)


def write_manifest(run_dir: Path, history: History, clock: Clock, settings: Settings, options: Any) -> None:
    """Write `manifest.json`: primed history, clock, catalogue hash, settings, options."""
    content = {
        "fraudsim": __version__,
        "log_id": clock.log_id,
        "history": {
            "path": "history",
            "source": history.manifest.source,
            "fingerprint": history.manifest.fingerprint,
            "end_ms": history.manifest.end_ms,
        },
        "clock": [msgspec.to_builtins(segment) for segment in clock.segments],
        "catalogue": HASH,
        "settings": {name: getattr(settings, name) for name in RECORDED},
        "options": {name: str(v) if isinstance(v, Path) else v for name, v in vars(options).items()},
    }
    write_whole(run_dir / "manifest.json", json.dumps(content, indent=2) + "\n")
