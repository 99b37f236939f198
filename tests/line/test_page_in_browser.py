"""The live page of a real line in a real browser: an attack is launched from it, and its worker is killed."""

import shutil
from collections import Counter

import pytest

from fraudsim.archive.log_files import read_log
from fraudsim.log.topics import DECISIONS, LABELS, TRUTH
from fraudsim.polling import poll_until
from fraudsim.settings import Settings
from runner.line.options import LineOptions
from testing.rigs.live_line import policy_at, run_line
from tests.line.page_figures import check_figures, check_money

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: make setup-browser")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.stack,
    pytest.mark.long,
    pytest.mark.skipif(CHROMIUM is None, reason="needs the system's chromium on PATH"),
]
WAIT_S = 120.0
READ_IT = """() => ({
    figures: Object.fromEntries([...document.querySelectorAll("data[data-figure]")]
        .filter((node) => node.value !== "").map((node) => [node.dataset.figure, Number(node.value)])),
    worker: document.querySelector("[data-box=worker]").dataset.status,
    campaigns: [...document.querySelectorAll("#campaign-table tbody tr")].map((row) => [...row.cells])
        .filter((cells) => cells.length > 7).map((cells) => cells.map((cell) => cell.textContent)),
})"""


class Watched:
    """The page in a tab, and all the campaigns that it has shown."""

    def __init__(self, page):
        self._page = page
        self.campaigns = {}
        self.last, self.shown = {}, {}
        """As of the last time."""

    def until(self, holds):
        def held():
            seen = self._page.evaluate(READ_IT)
            self.last = seen["figures"]
            self.shown = {cells[7]: (cells[0], int(cells[2])) for cells in seen["campaigns"]}
            self.campaigns |= self.shown
            return holds(seen)

        assert poll_until(held, WAIT_S, every_s=0.2), self.last

    def press(self, button):
        """The id of the control that a button asks for."""
        with self._page.expect_response("**/controls*") as response:
            self._page.get_by_role("button", name=button, exact=True).click()
        return response.value.json()["control_id"]


def attack_and_break(line, page, watched):
    watched.until(lambda seen: seen["figures"].get("decided", 0) > 100 and seen["worker"] == "up")
    page.get_by_label("typology").select_option("card_testing")
    page.get_by_role("spinbutton", name="campaigns").fill("4")
    page.get_by_label("tempo").fill("4")
    attack = watched.press("Launch")
    page.get_by_label("part").select_option("worker")
    page.get_by_role("spinbutton", name="seconds").fill("600")
    watched.press("Stop for so long")
    watched.until(lambda seen: seen["worker"] in ("down", "silent"))  # red
    watched.press("Kill")
    watched.until(lambda seen: seen["worker"] == "up")
    line.wait_for("the producer", lambda: line.done("producer"), 180)
    counted = ("decided", "sent", "ledger_payments")
    watched.until(lambda seen: all(seen["figures"].get(name) == line.planned() for name in counted))
    watched.until(lambda seen: True)
    return attack


def test_an_attack_and_a_kill_from_the_page(tmp_path, prepared):
    run, seen = tmp_path / "run", {}

    def in_a_browser(line, observer):
        with playwright.sync_playwright() as started:
            browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page()
            page.set_default_timeout(WAIT_S * 1000)
            page.goto(line.page_address)
            watched = Watched(page)
            seen["attack"] = attack_and_break(line, page, watched)
            seen.update(last=watched.last, campaigns=watched.campaigns, shown=watched.shown)
            browser.close()

    options = LineOptions(
        run, seconds=12, rate=120, cards=800, null_seconds=0, reuse=prepared, page=True, controls=True
    )
    # None is reviewed: a review that nobody has begun is in the summary's ledger alone.
    settings = Settings(_env_file=None, policy=policy_at(tmp_path / "policy", 0.02, 0.5, 0.5))
    summary = run_line(options, settings, in_a_browser, brute_force=5)
    assert (summary["lost"], summary["duplicated"], summary["parity"]["mismatches"]) == (0, 0, 0)
    assert summary["restarts"]["worker"] == 1
    check_figures(seen["last"], summary)
    check_money(seen["last"], summary)
    check_attack(run, seen["attack"], seen["campaigns"], seen["shown"])


def check_attack(run, attack, campaigns, shown):
    """It is decided, labelled, and has the payments that the truth gives it."""
    truths = {row["tx_id"]: row["campaign_id"] for row in read_log(run, TRUTH).to_pylist()}
    launched = {tx_id for tx_id, campaign in truths.items() if campaign.rpartition("-")[0] == attack}
    assert launched
    assert launched <= {row["tx_id"] for row in read_log(run, DECISIONS).to_pylist()}
    assert launched & {row["tx_id"] for row in read_log(run, LABELS).to_pylist() if row["is_fraud"]}
    own = {id: typology for id, (typology, _) in campaigns.items() if id.rpartition("-")[0] == attack}
    assert set(own.values()) == {"card_testing"}, "the page has shown its campaigns"
    counts = Counter(truths.values())
    assert shown.keys() & own, "at the end too"
    assert {id: payments for id, (_, payments) in shown.items()} == {id: counts[id] for id in shown}
