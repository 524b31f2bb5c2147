"""To-dos and the calendar in a real browser."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import AsUser

ENTRIES = re.compile(r"/calendar/entries/")
TODAY = datetime.now(ZoneInfo("Europe/Berlin")).date()  # Mia's


def open_calendar(page: Page, query: str = "") -> None:
    page.goto(f"/calendar/{query}")
    expect(page.locator(".calendar.is-ready[aria-busy='false']")).to_be_visible()


def count_of(page: Page) -> Any:
    return page.locator("[data-count]")


def entry(number: int, title: str, **fields: Any) -> dict[str, Any]:
    """As the server sends it; it leads nowhere."""
    day = TODAY.replace(day=1 + number % 28).isoformat()
    values = {
        "id": f"item-{number}",
        "kind": "to-do",
        "type": "Call",
        "url": f"/calendar/{number}/",
    }
    return {**values, "title": title, "start": f"{day}T{8 + number % 9:02}:00:00", **fields}


def answer(*entries: dict[str, Any]) -> dict[str, Any]:
    body = json.dumps({"entries": list(entries), "isCut": False})
    return {"status": 200, "content_type": "application/json", "body": body}


# --- to-dos ---------------------------------------------------------------------------------------
def test_a_to_do_is_added_completed_and_deleted_on_the_customers_page(as_user: AsUser) -> None:
    page = as_user("mia")
    page.goto("/customers/")
    page.get_by_role("link", name="Harbor Foods", exact=True).click()
    page.get_by_role("link", name="New To-Do").first.click()
    dialog = page.get_by_role("dialog", name="New To-Do")
    expect(dialog.get_by_label("Customer")).to_have_value(re.compile("Harbor Foods"))

    # Sync is as usual for the type, until somebody sets it.
    sync, kind = dialog.get_by_label("Sync"), dialog.get_by_label("Type")
    kind.select_option("Task")
    expect(sync).not_to_be_checked()
    kind.select_option("Call")
    expect(sync).to_be_checked()
    sync.uncheck()
    kind.select_option("Meeting")
    expect(sync).not_to_be_checked()

    # What is missing is said in the dialog, and what was typed stays.
    dialog.get_by_role("button", name="Add to-do").click()
    expect(dialog).to_contain_text("Enter a short description")
    dialog.get_by_label("Short description").fill("Walk through the offer")
    dialog.get_by_label("Date").fill(TODAY.isoformat())
    dialog.get_by_label("Time").fill("23:30")
    dialog.get_by_label("All day").check()
    expect(dialog.get_by_label("Time")).to_be_hidden()
    dialog.get_by_label("All day").uncheck()
    dialog.get_by_role("button", name="Add to-do").click()
    expect(dialog).to_be_hidden()
    expect(page.locator("#messages")).to_contain_text("“Walk through the offer” was added.")

    # It is in the list and on the calendar, without a reload.
    row = page.locator("#to-do-list [data-row]", has_text="Walk through the offer")
    expect(row).to_contain_text("today, 23:30")
    expect(row).to_contain_text("Not synced")
    expect(page.locator(".calendar .entry", has_text="Walk through the offer")).to_have_count(1)

    # One click completes it, one takes that back.
    row.get_by_role("button", name="Completed: Walk through the offer").click()
    expect(row).to_contain_text("Completed just now")
    page.locator("#messages").get_by_role("button", name="Undo").click()
    expect(row).to_contain_text("today, 23:30")

    # Its dialog has an address and a history; Esc leads back to where it was opened.
    link = row.locator("[data-open]")
    link.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Edit To-Do")
    dialog.get_by_text("History").click()
    expect(dialog).to_contain_text("Reopened")
    expect(page).to_have_url(re.compile(r"/calendar/to-dos/\d+/$"))
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(link).to_be_focused()

    link.click()
    dialog.get_by_role("link", name="Delete…").click()
    page.get_by_role("dialog", name="Delete “Walk through the offer”?").get_by_role(
        "button", name="Delete"
    ).click()
    expect(row).to_have_count(0)
    expect(page).to_have_url(re.compile(r"/customers/\d+/$"))
    page.locator("#messages").get_by_role("button", name="Undo").click()
    expect(row).to_have_count(1)


# --- the calendar ---------------------------------------------------------------------------------
def test_view_date_and_filters_live_in_the_address(as_user: AsUser) -> None:
    page = as_user("lena")
    open_calendar(page)
    title = page.locator(".calendar-title")
    this_month = title.inner_text()
    page.get_by_role("button", name="Later").click()
    expect(title).not_to_have_text(this_month)
    page.keyboard.press("t")
    expect(title).to_have_text(this_month)
    expect(page).to_have_url(re.compile(r"/calendar/$"))
    page.get_by_role("button", name="Week").click()
    page.get_by_text("Emails", exact=True).click()
    page.get_by_label("Whose").select_option("Everybody")
    expect(page).to_have_url(
        re.compile(r"view=week&date=[\d-]+&kind=to-do&kind=appointment&rep=all")
    )
    this_week = title.inner_text()

    page.reload()
    expect(title).to_have_text(this_week)
    expect(page.get_by_label("Emails")).not_to_be_checked()
    expect(page.get_by_label("Whose")).to_have_value("all")


def test_an_entry_is_opened_by_keyboard_and_dragged_to_another_day(as_user: AsUser) -> None:
    page = as_user("mia")
    open_calendar(page, "?kind=to-do")
    entry = page.locator("a.entry-to-do:not(.is-done)", has_text="Confirm the booking").first
    entry.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Edit To-Do")
    expect(dialog.get_by_label("Date")).to_have_value(TODAY.isoformat())
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(entry).to_be_focused()

    target = TODAY + timedelta(days=-1 if TODAY.weekday() == 6 else 1)
    cell = page.locator(f"td[data-date='{target.isoformat()}'] .fc-daygrid-day-top")
    before = entry.bounding_box()
    there = cell.bounding_box()
    assert before
    assert there
    page.mouse.move(before["x"] + 20, before["y"] + 8)
    page.mouse.down()
    page.mouse.move(there["x"] + 30, there["y"] + 10, steps=8)
    page.mouse.up()
    messages = page.locator("#messages")
    expect(messages).to_contain_text(f"is now {'yesterday' if target < TODAY else 'tomorrow'}")
    expect(page.locator("dialog[open]")).to_have_count(0)
    messages.get_by_role("button", name="Undo").click()
    expect(messages).to_contain_text("is now today")


def test_what_comes_from_calendars_and_mail_cannot_be_dragged(as_user: AsUser) -> None:
    page = as_user("mia")
    found = [
        entry(1, "Ours", editable=True),
        entry(2, "Theirs", kind="appointment", cancelled=True),
        entry(3, "Mail", kind="email"),
    ]
    page.route(ENTRIES, lambda route: route.fulfill(**answer(*found)))
    open_calendar(page)
    expect(page.locator("a.fc-event-draggable")).to_have_text(re.compile("Ours"))
    expect(page.locator("a.entry-appointment")).to_have_attribute("title", re.compile("cancelled"))


def test_a_month_of_two_thousand_is_one_request_and_a_few_hundred_links(as_user: AsUser) -> None:
    page = as_user("mia")
    found = [entry(number, f"Number {number}", editable=True) for number in range(2000)]
    requests = []

    def fulfill(route: Route) -> None:
        requests.append(route.request.url)
        route.fulfill(**answer(*found))

    page.route(ENTRIES, fulfill)
    open_calendar(page)
    expect(count_of(page)).to_have_text("2,000 entries")
    assert len(requests) == 1
    # What is drawn is what costs: all of them would take seconds.
    assert page.locator("a.entry, a.entry-more").count() < 150
    more = page.locator("a[data-more]").first
    left = int(re.findall(r"\d+", more.inner_text())[-1])
    day = more.get_attribute("data-more")
    assert left + 3 == sum(entry["start"].startswith(day or "?") for entry in found)
    more.click()
    expect(page).to_have_url(re.compile(f"view=agenda&date={day}"))
    expect(page.locator(".fc-list-event")).to_have_count(left + 3)


def test_a_failure_is_said_and_retried_and_nothing_is_explained(as_user: AsUser) -> None:
    page = as_user("mia")
    page.route(ENTRIES, lambda route: route.fulfill(status=200, body="no list at all"))
    open_calendar(page)
    expect(page.get_by_role("alert")).to_contain_text("The calendar could not be loaded")
    page.unroute(ENTRIES)
    page.route(ENTRIES, lambda route: route.fulfill(**answer()))
    page.get_by_role("button", name="Retry").click()
    expect(page.locator("[data-note]")).to_contain_text("Nothing in these days.")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_on_a_phone_it_is_a_list(as_user: AsUser) -> None:
    page = as_user("mia", width=390)
    open_calendar(page, "?view=month&kind=to-do")
    expect(page.get_by_role("button", name="List")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="Month")).to_be_hidden()
    link = page.locator(".entry-link").first
    title = link.inner_text()
    link.click()
    dialog = page.get_by_role("dialog", name="Edit To-Do")
    expect(dialog.get_by_label("Short description")).to_have_value(title)
    page.keyboard.press("Escape")
    expect(link).to_be_focused()


def test_the_calendar_address_can_be_made_read_and_revoked(as_user: AsUser) -> None:
    page = as_user("mia")
    page.goto("/profile/")
    page.get_by_role("button", name="Make a calendar address").click()
    address = page.get_by_label("Your calendar address").input_value()
    reader = page.request
    feed = reader.get(address)
    assert feed.ok
    assert feed.body().startswith(b"BEGIN:VCALENDAR")
    assert datetime.now(UTC).strftime("%Y%m%d").encode() in feed.body()
    page.locator("#feed-revoke").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.locator("#messages")).to_contain_text("no longer works")
    assert reader.get(address).status == 404
