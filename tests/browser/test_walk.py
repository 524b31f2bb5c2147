"""A new user's walk through `make demo`: chapters of one story, in this order."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import MIA, PASS_MS, AsUser, Product, authorise

TAB = "/profile/email-integration/"


def connection(page: Page) -> Any:
    return page.locator("#connection")


def open_customer(page: Page, name: str = "Harbor Foods") -> Any:
    """To a customer by hand; the list of its emails."""
    page.goto("/customers/")
    page.get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)
    return page.locator("#email-list")


# --- the rep authorises -------------------------------------------------------------------------
def test_who_denies_the_access_is_told_that_nothing_changed(as_user: AsUser) -> None:
    page = as_user("mia")
    page.goto(TAB)
    expect(connection(page)).to_contain_text("not connected")
    page.get_by_role("link", name="Authorize", exact=True).click()
    page.get_by_role("button", name="Continue with Google").click()
    page.get_by_role("button", name="Deny").click()
    page.wait_for_url(f"**{TAB}")
    expect(page.locator("#messages")).to_contain_text("nothing was connected or changed")
    expect(connection(page)).to_contain_text("not connected")


def test_a_rep_links_the_mailbox_and_watches_it_being_read(
    as_user: AsUser, product: Product
) -> None:
    page = as_user("mia")
    page.goto("/")
    page.get_by_role("button", name="Your menu").locator("visible=true").click()
    page.get_by_role("link", name="Link External Calendar/Email").locator("visible=true").click()
    expect(page.get_by_text(MIA)).to_be_visible()
    page.get_by_text("Select a different provider").click()
    expect(page.get_by_role("button", name="Microsoft 365")).to_be_visible()
    page.get_by_role("button", name="Continue with Google").click()

    # A slow provider, as they are: each page of the listing takes a second.
    product.switch("faults", {"kind": "slow", "path": "/messages$", "delay": 1, "mailbox": MIA})
    expect(page.get_by_label("Mia Berg")).to_be_checked()
    page.get_by_role("button", name="Allow").click()
    page.wait_for_url(f"**{TAB}")
    expect(page.locator("#messages")).to_contain_text(f"Connection Authorized for {MIA}.")

    # Without a reload: the messages are counted, and when all is read the line is gone.
    progress = page.locator(".profile-panel").first
    expect(progress).to_contain_text(
        re.compile(r"Reading your past mail: [\d,]+ (of about [\d,]+ )?messages, Inbox"),
        timeout=PASS_MS,
    )
    product.switch("faults", method="DELETE")
    expect(connection(page).locator(".state").first).to_have_text("running", timeout=PASS_MS)
    expect(progress.get_by_role("progressbar")).to_have_count(0)


# --- reading ------------------------------------------------------------------------------------
@pytest.mark.usefixtures("connected")
def test_a_rep_reads_an_email_on_the_customers_page_and_deletes_it(as_user: AsUser) -> None:
    page = as_user("mia")
    emails = open_customer(page)
    expect(page.get_by_role("heading", name="Email Integration")).to_be_visible()
    row = emails.locator("[data-row]").first
    subject = row.locator("[data-open]").inner_text()
    view = row.get_by_role("link", name="View")
    view.focus()
    page.keyboard.press("Enter")

    dialog = page.get_by_role("dialog", name=subject)
    text = dialog.frame_locator("iframe[title='Text of the email']").locator("body")
    expect(text).not_to_be_empty()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(view).to_be_focused()

    count = emails.locator(".paging p")
    before = count.inner_text()
    address = view.get_attribute("href")
    view.click()
    dialog.get_by_role("button", name="Delete").click()
    expect(dialog).to_be_hidden()
    deleted = emails.locator(f"a[href='{address}']")
    expect(deleted).to_have_count(0)
    undo = page.locator("#messages").get_by_role("button", name="Undo")
    expect(undo).to_be_in_viewport()
    undo.click()
    expect(deleted).not_to_have_count(0)
    expect(count).to_have_text(before)


@pytest.mark.usefixtures("connected")
def test_new_mail_is_there_after_sync_now(as_user: AsUser, product: Product) -> None:
    product.switch(
        "deliver",
        {
            "mailbox": MIA,
            "subject": "Prices for the harbour walk",
            "from": {"name": "Javier Ruiz", "email": "j.ruiz@harbor.example"},
            "body": "Could you send them today?",
        },
    )
    page = as_user("mia")
    page.goto(TAB)
    # The pointer rests on the button, as a person's does: the panel tells what came of it anyway.
    page.get_by_role("button", name="Sync now").click()
    last_sync = connection(page).locator(".datagrid-item").filter(has_text="Last sync")
    expect(last_sync).to_contain_text("just now", timeout=PASS_MS)
    emails = open_customer(page)
    expect(emails).to_contain_text("Prices for the harbour walk", timeout=PASS_MS)


@pytest.mark.usefixtures("connected")
def test_a_manager_reads_her_reps_mail_and_is_not_shown_the_monitor(as_user: AsUser) -> None:
    page = as_user("lena")
    emails = open_customer(page)
    of_mia = emails.locator("[data-row]").filter(has_text=re.compile("in the mail of .*Mia Berg"))
    of_mia.first.get_by_role("link", name="View").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("definition").last).to_contain_text("Mia Berg")
    expect(dialog.locator("iframe").or_(dialog.get_by_text("Could you send them"))).to_be_visible()


def test_the_monitor_is_the_admins(as_user: AsUser) -> None:
    page = as_user("lena")
    response = page.request.get("/integration/mailboxes/")
    assert response.status == 404
    assert "There is nothing here" in response.text()


# --- the admin ----------------------------------------------------------------------------------
@pytest.mark.usefixtures("connected")
def test_an_admin_finds_out_why_a_message_did_not_match(as_user: AsUser) -> None:
    page = as_user("ada")
    page.goto("/")
    expect(page.get_by_role("heading", name="Email Integration Monitor")).to_be_visible()
    row = page.locator("tbody").filter(has_text=MIA)
    expect(row).to_contain_text("running")
    row.get_by_role("link", name="View Sync History").click()

    dialog = page.get_by_role("dialog", name="Sync history of Mia Berg")
    matched = dialog.locator("tbody[data-row]").first
    expect(matched.locator("a[href^='/emails/']")).to_have_count(1)

    dialog.get_by_role("link", name="Unmatched").click()
    expect(dialog.get_by_role("link", name="Unmatched")).to_have_attribute("aria-current", "true")
    entry = dialog.locator("tbody[data-row]").first
    expect(entry.locator("a[href^='/emails/']")).to_have_count(0)
    expect(entry.get_by_text("Rule:")).to_be_hidden()
    entry.get_by_text("Why?").click()
    expect(entry.get_by_text("Rule:")).to_be_visible()
    expect(
        entry.get_by_text(re.compile("which never matches|no contact in the CRM")).first
    ).to_be_visible()

    reasons = dialog.get_by_label("Reason")
    reasons.select_option(index=1)
    page.wait_for_url(re.compile("reason=[a-z-]+"))
    reason = reasons.input_value()
    page.reload()
    assert f"reason={reason}" in page.url
    expect(page.get_by_label("Reason")).to_have_value(reason)
    expect(page.get_by_role("heading", level=1)).to_have_text("Sync history of Mia Berg")
    expect(page.locator("tbody[data-row]").first).to_be_visible()


def test_an_admin_tests_the_connection(as_user: AsUser) -> None:
    page = as_user("ada")
    page.goto("/integration/settings/")
    page.get_by_role("button", name="Test connection").click()
    expect(page.locator("#connection-answer")).to_contain_text("accepts the API key")


# --- the access ends ----------------------------------------------------------------------------
@pytest.mark.usefixtures("connected")
def test_an_expired_access_says_so_and_is_renewed(as_user: AsUser, product: Product) -> None:
    page = as_user("mia")
    page.goto(TAB)
    product.switch("expire", {"mailbox": MIA})
    page.get_by_role("button", name="Sync now").click()
    state = connection(page).locator(".state").first
    expect(state).to_have_text("invalid-credentials", timeout=PASS_MS)
    expect(connection(page)).to_contain_text("Click Re-authorise")
    state.hover()
    expect(page.get_by_role("tooltip")).to_contain_text("no longer accepts our access")

    page.get_by_role("link", name="Re-authorise").click()
    expect(page.get_by_text("nothing that was read is lost")).to_be_visible()
    authorise(page)
    expect(page.locator("#messages")).to_contain_text("Reading goes on where it stopped.")
    expect(state).to_have_text("running", timeout=PASS_MS)


# --- the keyboard -------------------------------------------------------------------------------
@pytest.mark.usefixtures("connected")
def test_the_keyboard_is_enough(as_user: AsUser) -> None:
    page = as_user("mia")
    page.goto("/customers/")
    press = page.keyboard.press
    press("/")
    expect(page.get_by_role("searchbox", name="Search customers and contacts")).to_be_focused()
    page.keyboard.type("harbor")
    expect(page.locator("#search-results a").first).to_be_visible()
    press("Escape")
    expect(page.locator("#search-results a")).to_have_count(0)

    links = page.locator("[data-open]")
    press("j")
    press("j")
    expect(links.nth(1)).to_be_focused()
    press("k")
    expect(links.nth(0)).to_be_focused()
    name = links.nth(0).inner_text()
    press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)

    opener = page.locator("#email-list [data-open]").first
    opener.focus()
    press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_be_visible()
    for _ in range(12):  # the focus goes round within the dialog (or to the browser's own bar)
        press("Tab")
        assert page.evaluate(
            "document.activeElement === document.body"
            " || document.querySelector('dialog').contains(document.activeElement)"
        )
    press("Escape")
    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused()
