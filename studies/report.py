"""The report of a study: a JSON file for programs and a Markdown page for people."""

from pathlib import Path
from typing import Final

import msgspec

from fraudsim.errors import FraudsimError
from fraudsim.whole_files import write_whole

BAR_WIDTH: Final = 8


def bar(share: float, width: int = BAR_WIDTH) -> str:
    """A bar of Unicode blocks to an eighth of a character; a share of 1 is `width` long."""
    eighths = round(8 * width * min(max(share, 0.0), 1.0))
    return "█" * (eighths // 8) + ("▏▎▍▌▋▊▉"[eighths % 8 - 1] if eighths % 8 else "")


def spaced(name: str) -> str:
    """A name with spaces for its underscores."""
    return name.replace("_", " ")


def write_report(out_dir: Path, name: str, result: msgspec.Struct, page: str) -> None:
    """Write `name`.json and `name`.md, each completely or not at all.

    Raises:
        FraudsimError: the folder cannot be written.
    """
    files = {
        f"{name}.json": msgspec.json.format(msgspec.json.encode(result), indent=2).decode() + "\n",
        f"{name}.md": page,
    }
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            write_whole(out_dir / file, text)
    except OSError as error:
        raise FraudsimError(f"study {error.filename or out_dir}: {error.strerror or error}") from None
