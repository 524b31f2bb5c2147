"""The intake set up by an admin in the browser, up to the first decisions; chapters in order."""

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import PASS_MS, AsUser
from tests.browser.test_looks import AXE, STILL, THEMES, too_wide, violations

CAPTURE = "crm.intake@northsound.example"
CONNECTIONS = "/integration/oauth-connections/"
REVIEWS = "/integration/intake-reviews/"


def test_from_a_new_connection_to_the_first_decisions(as_user: AsUser) -> None:
    page = as_user("ada")
    page.goto("/customers/")
    page.get_by_role("link", name="OAuth connections").click()
    page.get_by_role("link", name="New", exact=True).click()
    page.get_by_label("ID", exact=True).fill("gmail-copies")
    page.get_by_label("Description").fill("What reps BCC and forward")
    page.get_by_label("Client ID", exact=True).fill("sandbox-google-client")
    page.get_by_label("Client secret", exact=True).fill("a-slip-of-the-pen")
    page.keyboard.press("Enter")
    expect(page.locator("#messages")).to_contain_text("is saved. Now authorise it.")

    authorise(page, button="Cancel")
    expect(page.locator("#messages")).to_contain_text("Consent was denied on Google's page")
    authorise(page)
    expect(page.locator("#messages")).to_contain_text("does not accept the client ID or the client")
    # What is typed is saved on the way, and the address keeps nothing of Google's.
    page.get_by_label("Client secret", exact=True).fill("sandbox-google-secret")
    authorise(page)
    expect(page.locator("#messages .alert-success")).to_contain_text(
        f"Connection Authorized for {CAPTURE}."
    )
    assert re.fullmatch(rf".*{CONNECTIONS}\d+/", page.url)
    page.get_by_role("button", name="Test connection").click()
    expect(page.locator("#oauth-answer")).to_have_text(f"Google lets us read {CAPTURE}.")

    switch_on(page)
    find_in_the_reps_history(page)
    decide(page)


def authorise(page: Page, *, button: str = "Allow") -> None:
    """To Google's page and back."""
    page.get_by_role("button", name="Authorize", exact=True).click()
    page.get_by_role("button", name=button).click()
    page.wait_for_url(f"**{CONNECTIONS}*/")


def switch_on(page: Page) -> None:
    page.get_by_role("navigation").get_by_role("link", name="Email Forward / BCC").click()
    for name in ("Email BCC", "Email forward"):
        page.get_by_role("group", name=name).get_by_label("Yes").check()
    page.get_by_label("Connection", exact=True).select_option(f"gmail-copies ({CAPTURE})")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#messages")).to_contain_text("The configuration is saved.")
    # Without a reload.
    state = page.locator("#intake-state")
    expect(state.locator(".state").first).to_have_text("running", timeout=PASS_MS)
    expect(state).to_contain_text("matched", timeout=PASS_MS)
    expect(state.get_by_role("link", name="4", exact=True)).to_be_visible(timeout=PASS_MS)

    # A dialog with an address of its own, Esc, and the focus back.
    history = page.get_by_role("link", name="History of the intake")
    history.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("link", name="Unmatched").click()
    expect(dialog).to_contain_text("nele.brooks@quietpost.example is not a user's address.")
    assert "/history/" in page.url
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(history).to_be_focused()


def find_in_the_reps_history(page: Page) -> None:
    page.get_by_role("link", name="Email Integration Monitor").click()
    row = page.locator("tr", has_text="sam.cole@northsound.example")
    row.get_by_role("link", name="View Sync History").click()
    dialog = page.get_by_role("dialog")
    for source in ("FWD", "BCC"):
        dialog.get_by_label("Source", exact=True).select_option(label=source)
        expect(dialog.locator("[data-row]").first).to_contain_text(source)
    dialog.get_by_role("link", name="Dates for the fair").click()
    expect(dialog).to_contain_text("BCC")
    page.keyboard.press("Escape")


def decide(page: Page) -> None:
    page.get_by_role("link", name=re.compile("Intake review")).click()
    dialog = page.get_by_role("dialog")
    open_review(page, "Offer 4711")
    expect(dialog).to_contain_text("not sure (40%)")
    dialog.get_by_label("Written by").fill("ruth.adeyemi@mueller-bau.example")
    dialog.get_by_role("button", name="Correct and match").click()
    expect(page.locator("#messages")).to_contain_text("Matched: Müller & Söhne Bau · Ruth Adeyemi.")

    open_review(page, "New bank account")
    expect(dialog).to_contain_text("Gmail could not prove it")
    dialog.get_by_role("button", name="Dismiss").click()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#messages")).to_contain_text("waits for a decision again")
    open_review(page, "New bank account")
    dialog.get_by_role("button", name="Approve, and trust").click()
    expect(page.locator("#messages")).to_contain_text("Matched:")
    page.get_by_role("link", name="Trusted senders").click()
    expect(page.get_by_role("main")).to_contain_text("sam.cole@northsound.example")


def open_review(page: Page, subject: str) -> None:
    page.locator("tr", has_text=subject).get_by_role("link", name="Decide").click()
    expect(page.get_by_role("dialog").get_by_role("heading").first).to_be_visible()


def test_every_screen_of_it_fits_and_is_accessible(as_user: AsUser) -> None:
    found = []
    for width in (1280, 390):
        page = as_user("ada", width=width, theme="dark", bypass_csp=True)
        page.add_init_script(AXE.read_text() + STILL)
        page.goto(CONNECTIONS)
        connection = page.get_by_role("link", name="gmail-copies").get_attribute("href")
        page.goto(f"{REVIEWS}?tab=decided")
        decided = page.locator("main [data-open]").first.get_attribute("href")
        page.goto(REVIEWS)
        waiting = [one.get_attribute("href") for one in page.locator("main [data-open]").all()]
        pk = str(connection).rstrip("/").rpartition("/")[2]
        for url in (
            CONNECTIONS,
            f"{CONNECTIONS}new/",
            connection,
            f"{connection}disconnect/",
            "/integration/intake/",
            f"/integration/intake/{pk}/history/?tab=unmatched",
            REVIEWS,
            f"{REVIEWS}?tab=decided",
            decided,
            *waiting,
            "/integration/trusted-senders/",
        ):
            page.goto(str(url))
            found += [f"{width} {url}: {one}" for one in too_wide(page)]
            for theme in THEMES:
                page.evaluate(
                    "(name) => { document.documentElement.dataset.bsTheme = name }", theme
                )
                found += [f"{width} {url} {theme}: {one}" for one in violations(page)]
    assert not found, "\n" + "\n".join(found)
