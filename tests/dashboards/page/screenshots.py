"""Pictures of a live page at three sizes, in both themes. Needs playwright and the system's chromium.

python -m tests.dashboards.page.screenshots ADDRESS FOLDER [WIDTH …]
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDTHS = (390, 1280, 2560)
SETTLED_MS = 3_000


def main(address: str, folder: Path, widths: list[int]) -> None:
    """Write WIDTH-THEME.png for each width and theme into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for width in widths:
            for theme in ("light", "dark"):
                size = {"width": width, "height": 900}
                with browser.new_context(viewport=size, color_scheme=theme) as context:
                    page = context.new_page()
                    page.goto(address)
                    page.wait_for_timeout(SETTLED_MS)
                    page.screenshot(path=folder / f"{width}-{theme}.png", full_page=True)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), [int(width) for width in sys.argv[3:]] or [*WIDTHS])
