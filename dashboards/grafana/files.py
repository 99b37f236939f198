"""The dashboards as the files that Grafana reads."""

import json
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards.grafana import decisions, line, machine, served_model

FOLDER: Final = Path(__file__).parent / "boards"


def rendered() -> dict[str, str]:
    """File name to JSON; the same bytes every time."""
    boards = [line.make(), decisions.make(), served_model.make(), machine.make()]
    return {
        f"{board.uid}.json": json.dumps(board, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"
        for board in boards
    }


def write() -> None:
    """Write `boards/` anew."""
    for old in FOLDER.glob("*.json"):
        old.unlink()
    for name, text in rendered().items():
        (FOLDER / name).write_text(text)
