"""Pictures of the live page at three sizes, in both themes, from a line that this starts.

`make screenshots`, or python -m tests.dashboards.page.screenshots [--address ADDRESS] [--folder FOLDER]
Needs playwright (`make setup-browser`) and the system's chromium. The picture that opens the README is
docs/page.jpg.
"""

import argparse
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from fraudsim.addresses import open_direct
from fraudsim.polling import poll_until

WIDTHS = (390, 1280, 2560)
HEIGHT = 900
README = Path("docs/page.jpg")
README_SIZE = {"width": 1280, "height": 1120}
QUALITY = 72
SETTLED_MS = 4_000
ATTACKS = ("card_testing", "bin_attack", "leaked_card")
DECISIONS = 12_000
LINE = ("demo", "--seconds", "180", "--rate", "300", "--page", "--controls", "--beside", "1d")


@contextmanager
def started_line() -> Iterator[str]:
    """The page's address of a line that has been attacked."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fraudsim", *LINE], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="")
            found = re.search(r"page: (\S+)", line)
            if found:
                break
        address = found[1]
        assert poll_until(lambda: decided(address) > DECISIONS / 4, 300, every_s=1)
        for typology in ATTACKS:
            launch(address, typology)
        assert poll_until(lambda: decided(address) > DECISIONS, 300, every_s=1)
        yield address
    finally:
        process.terminate()
        process.communicate(timeout=120)


def decided(address: str) -> int:
    with open_direct(address, timeout_s=10) as reply:
        value = re.search(r'data-figure="decided" value="(\d+)', reply.read().decode())
    return int(value[1]) if value else 0


def launch(address: str, typology: str) -> None:
    base, token = address.split("#control=")
    body = f'{{"kind": "attack", "typology": "{typology}", "campaigns": 3}}'.encode()
    headers = {"Content-Type": "application/json", "X-Fraudsim-Control": token}
    request = urllib.request.Request(base.replace("/?", "/controls?"), body, headers)
    open_direct(request, timeout_s=40).close()


def picture(browser: Browser, address: str, size: dict[str, int], theme: str, **options: Any) -> bytes:
    with browser.new_context(viewport=size, color_scheme=theme) as context:
        page = context.new_page()
        page.goto(address)
        page.wait_for_timeout(SETTLED_MS)
        return page.screenshot(**options)


def main(address: str, folder: Path) -> None:
    """Write WIDTH-THEME.png for each width and theme into a folder, and the README's picture."""
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        whole = {"full_page": False, "type": "jpeg", "quality": QUALITY}
        README.write_bytes(picture(browser, address, README_SIZE, "light", **whole))
        print(f"{README}: {README.stat().st_size / 1024:.0f} KiB")
        for width in WIDTHS:
            for theme in ("light", "dark"):
                size = {"width": width, "height": HEIGHT}
                (folder / f"{width}-{theme}.png").write_bytes(
                    picture(browser, address, size, theme, full_page=True)
                )
        browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", help="of a page that is served already")
    parser.add_argument("--folder", type=Path, default=Path("runs/pictures"))
    arguments = parser.parse_args()
    if arguments.address:
        main(arguments.address, arguments.folder)
    else:
        with started_line() as served:
            main(served, arguments.folder)
