"""The page in a browser: numbers, text of the log, tabs, keyboard, sizes and themes."""

import hashlib
import shutil

import pytest

from dashboards.page import control_desk
from fraudsim.polling import poll_until
from fraudsim.settings import Settings
from tests.dashboards.page.served_page import KEY, add, decision, label, served, state_of, transaction, truth

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: make setup-browser")
CHROMIUM = shutil.which("chromium")
EVIL = "<img src=x onerror=alert(1)>"
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs the system's chromium on PATH")
WAIT_MS = 20_000
SPILT = """() => [...document.querySelectorAll("svg.diagram .box")].filter((box) => {
    const right = box.querySelector("rect").getBoundingClientRect().right;
    return [...box.querySelectorAll("text")].some((text) => text.getBoundingClientRect().right > right);
}).map((box) => box.dataset.box)"""


@pytest.fixture(scope="module")
def client():
    state = state_of(
        *(transaction(n) for n in range(30)),
        *(decision(n, action="decline" if n % 3 else "approve", reasons=[EVIL]) for n in range(29)),
        *(truth(n, typology=EVIL, campaign=f"{EVIL}{n % 4}") for n in range(0, 29, 5)),
        decision(29, tx_id=EVIL, card_id=EVIL), label(0),
    )  # fmt: skip
    with served(state) as client:
        yield client


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Tab:
    """A tab, with whatever it complains of."""

    def __init__(self, context, client, fragment=""):
        self.complaints = []
        self.page = context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.page.on("console", lambda m: self.complaints.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.goto(f"http://127.0.0.1:{client.port}/?key={KEY}{fragment}")
        self.until("document.getElementById('stream-state').textContent === 'live'")
        self.page.wait_for_selector("#decision-table tbody tr")

    def until(self, expression):
        """Wait until JavaScript holds. Playwright's own way needs an eval, which the page forbids."""
        assert poll_until(lambda: self.page.evaluate(expression), WAIT_MS / 1000, every_s=0.05), expression


@pytest.fixture
def tab(browser, client):
    with browser.new_context() as context:
        tab = Tab(context, client)
        yield tab
        assert tab.complaints == []


def test_numbers_follow_the_stream_and_the_key_leaves_the_address(tab, client):
    figure = tab.page.locator("data[data-figure=decided]")
    assert figure.get_attribute("value") == "30"
    add(client.feed.state, transaction(30), decision(30))
    tab.until("document.querySelector('data[data-figure=decided]').value === '31'")
    assert "key" not in tab.page.url
    assert tab.page.evaluate("document.cookie") == "", "no script reads the cookie"


def test_what_the_log_says_is_text(tab):
    tab.page.wait_for_selector(".fraud")
    assert tab.page.locator("img").count() == 0
    assert EVIL in tab.page.locator("#decision-table").inner_text()
    assert EVIL in tab.page.locator("#campaign-table").inner_text()


def test_tabs_share_one_stream(browser, client):
    assert poll_until(lambda: len(client.page.broadcast) == 0, 20, every_s=0.1)
    with browser.new_context() as context:
        tabs = [Tab(context, client) for _ in range(3)]
        assert len(client.page.broadcast) == 1
        tabs[0].page.close()
        for tab in tabs[1:]:
            tab.until("document.querySelector('data[data-figure=sent]').value !== ''")
        assert len(client.page.broadcast) == 1


def test_truth_off_is_one_link_away_and_shows_none(tab):
    tab.page.get_by_role("link", name="What a bank knows").click()
    tab.page.wait_for_selector("#decision-table tbody tr")
    assert tab.page.locator("#campaign-table").is_hidden()
    assert "onerror=alert(1)>0" not in tab.page.content(), "no campaign's name"
    assert tab.page.locator("data[data-figure=insult_cents]").inner_text() == "only the simulation knows"


def test_a_decision_opens_and_closes_by_keyboard_and_focus_comes_back(tab):
    tab.page.get_by_label("hold still").check()
    button = tab.page.locator("#decision-table button").nth(1)
    button.focus()
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_selector("dialog[open] h3")
    assert "log prefix" in tab.page.locator("dialog").inner_text()
    tab.page.keyboard.press("Escape")
    tab.page.wait_for_selector("dialog:not([open])", state="attached")
    assert button.evaluate("node => node === document.activeElement")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280, 2560])
def test_nothing_is_cut_off_at_any_size_in_either_theme(browser, client, width, theme):
    with browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme) as context:
        page = Tab(context, client).page
        assert page.evaluate("document.documentElement.scrollWidth") == width
        diagrams = page.locator("svg.diagram")
        assert [diagrams.nth(n).is_visible() for n in range(2)] == [width > 700, width <= 700]
        spilt = page.evaluate(SPILT)
        assert spilt == []


# Controls

TOKEN = "t0ken"


@pytest.fixture
def controlled(browser, monkeypatch, tmp_path):
    """A tab that may control a run, and what it asked for."""
    appended = []
    monkeypatch.setattr(control_desk, "append_control", lambda bootstrap, control: appended.append(control))
    with (
        served(state_of(decision(0)), token=TOKEN, run=tmp_path) as client,
        browser.new_context() as context,
    ):
        tab = Tab(context, client, f"#control={TOKEN}")
        tab.page.wait_for_selector("form[data-kinds=attack] option", state="attached")
        yield tab, appended
        assert tab.complaints == []


def test_an_attack_is_launched_by_keyboard_and_the_token_leaves_the_address(controlled):
    tab, appended = controlled
    assert TOKEN not in tab.page.url
    assert tab.page.locator("form[data-kinds=model]").is_visible()
    tab.page.get_by_label("typology").select_option("bin_attack")
    tab.page.get_by_role("spinbutton", name="campaigns").fill("7")
    tab.page.get_by_role("button", name="Launch").focus()
    tab.page.keyboard.press("Enter")
    tab.until("document.querySelector('[data-said]').textContent.startsWith('asked for: attack bin_attack')")
    (control,) = appended
    assert (control.typology, control.campaigns, control.camouflage, control.tempo) == (
        "bin_attack",
        7,
        0.3,
        1,
    )
    tab.page.get_by_label("typology").select_option("lost_card")
    assert tab.page.get_by_label("tempo").is_disabled(), "it goes at its own pace"


def test_every_button_asks_for_what_it_says(controlled):
    tab, appended = controlled
    tab.page.get_by_label("share of the rate").fill("45")
    tab.page.get_by_role("button", name="Set").first.click()
    for name in ("Pause", "Resume", "Kill", "Stop for so long", "Shipped", "The one before"):
        tab.page.get_by_role("button", name=name, exact=True).click()
    assert poll_until(lambda: len(appended) == 7, WAIT_MS / 1000)
    asked = sorted((c.kind, c.share, c.part, c.seconds, c.version) for c in appended if c.kind != "policy")
    assert asked == [
        ("kill", None, "worker", None, None),
        ("pause", None, None, None, None),
        ("rate", 0.45, None, None, None),
        ("resume", None, None, None, None),
        ("stop", None, "worker", 5.0, None),
    ]


def test_without_the_token_it_says_what_is_missing(browser, tmp_path):
    with (
        served(state_of(decision(0)), token=TOKEN, run=tmp_path) as client,
        browser.new_context() as context,
    ):
        tab = Tab(context, client)
        assert "#control=" in tab.page.locator("[data-said]").inner_text()


def test_without_controls_no_form_is_there(tab):
    assert tab.page.locator("form[data-kinds]").first.is_hidden()


def test_whoever_wants_less_motion_gets_none(browser, client):
    with browser.new_context(reduced_motion="reduce") as context:
        page = Tab(context, client).page
        moving = page.evaluate("document.getAnimations().length")
        assert moving == 0


# Faults that axe-core finds

AXE = Settings(_env_file=None).cache_dir / "axe-core-4.11.1.min.js"
"""`make setup-browser` puts it there."""
AXE_SHA256 = "7dbfabdfc6062936d79c873ddbb5f811a1219fca3928bd8cc9dd81f1e65f4720"


@pytest.mark.skipif(not AXE.exists(), reason=f"needs axe-core: make setup-browser puts it at {AXE.name}")
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_no_serious_fault(browser, client, tmp_path, width, theme):
    assert hashlib.sha256(AXE.read_bytes()).hexdigest() == AXE_SHA256
    script = AXE.read_text()
    size = {"width": width, "height": 900}
    with (
        served(client.feed.state, token=TOKEN, run=tmp_path) as controlled,
        browser.new_context(viewport=size, color_scheme=theme, bypass_csp=True) as context,
    ):
        page = Tab(context, controlled, f"#control={TOKEN}").page
        page.evaluate("document.querySelectorAll('details').forEach((node) => { node.open = true; })")
        page.evaluate(script)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    faults = {
        fault["id"]: [node["html"][:120] for node in fault["nodes"]]
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
    }
    assert faults == {}
