"""The dashboards as the files that Grafana reads."""

import json
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards.grafana import decisions, line, machine, served_model

BOARDS_FOLDER: Final = Path(__file__).parent / "boards"


def render_boards() -> dict[str, str]:
    """File name to JSON; the same bytes every time."""
    boards = [module.make_board() for module in (line, decisions, served_model, machine)]
    return {
        f"{board.uid}.json": json.dumps(board, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"
        for board in boards
    }


def write_boards() -> None:
    """Replace the files in `boards/`."""
    for old in BOARDS_FOLDER.glob("*.json"):
        old.unlink()
    for name, text in render_boards().items():
        (BOARDS_FOLDER / name).write_text(text)
