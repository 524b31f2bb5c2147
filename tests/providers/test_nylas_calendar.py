"""Calendars and events over real HTTP: what is asked, what is written, and every way to fail."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from crm_sync.providers.errors import (
    ApplicationRejected,
    ItemGone,
    PermanentError,
    ReconnectRequired,
    TransientError,
    UnexpectedAnswer,
)
from crm_sync.providers.nylas import NylasGateway
from crm_sync.providers.types import CalendarGateway, Event, EventDraft, EventPage, EventTime
from tests.providers.scripted_nylas import HTML, failure
from tests.sandbox.conftest import LENA, SAM, Server

START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SECONDS = int(START.timestamp())
HOUR = timedelta(hours=1)

EVENT: dict[str, Any] = {
    "id": "e1",
    "calendar_id": "c1",
    "title": "Call",
    "when": {"start_time": SECONDS, "end_time": SECONDS + 3600},
    "metadata": {"key1": "crm:7"},
}
ONE = {"request_id": "r", "data": EVENT}
PAGE = {"request_id": "r", "data": [EVENT]}
EMPTY = {"request_id": "r", "data": []}
DRAFT = EventDraft("Call", "<p>x</p>", "Room", EventTime(START, START + HOUR), "crm:7")
GRANTS = {"request_id": "r", "data": []}


def grant(provider: str) -> dict[str, Any]:
    data = {"id": "g1", "provider": provider, "scope": [], "grant_status": "valid"}
    return {"request_id": "r", "data": data}


def page(gateway: CalendarGateway, **changes: Any) -> EventPage:
    asked = {"calendar_id": "c1", "start": START, "end": START + 24 * HOUR} | changes
    return gateway.event_page("g1", **asked)


def find(gateway: CalendarGateway, marker: str = "crm:7") -> Event | None:
    return gateway.find_event("g1", marker, calendar_id="c1", start=START, end=START + HOUR)


CALLS: dict[str, Callable[[CalendarGateway], object]] = {
    "calendars": lambda gateway: gateway.calendars("g1"),
    "event_page": page,
    "event": lambda gateway: gateway.event("g1", "e1", calendar_id="c1"),
    "find_event": find,
    "create_event": lambda gateway: gateway.create_event("g1", DRAFT, calendar_id="c1"),
    "update_event": lambda gateway: gateway.update_event("g1", "e1", DRAFT, calendar_id="c1"),
    "delete_event": lambda gateway: gateway.delete_event("g1", "e1", calendar_id="c1"),
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


def test_the_gateway_keeps_its_promise(gateway: NylasGateway):
    calendars: CalendarGateway = gateway  # For the type checker.
    assert callable(calendars.calendars)


# --- what is asked -------------------------------------------------------------------------------


def test_a_listing_asks_for_the_window_expanded_and_with_cancelled_events(nylas, gateway):
    nylas.answers(PAGE)
    assert [event.id for event in page(gateway, calendar_id="c/1 ä").events] == ["e1"]
    asked = nylas.asked[0]
    assert (asked.method, asked.path) == ("GET", "/v3/grants/g1/events")
    query = asked.query
    assert {"id", "when", "metadata", "updated_at", "original_start_time"} <= set(
        query.pop("select").split(",")
    )
    assert query == {
        "calendar_id": "c/1 ä",
        "limit": "200",
        "start": str(SECONDS),
        "end": str(SECONDS + 86400),
        "expand_recurring": "true",
        "show_cancelled": "true",
    }


def test_changes_since_a_moment_are_asked_for_only_when_wanted(nylas, gateway):
    nylas.answers(PAGE).answers(PAGE | {"next_cursor": "b&c"}).answers(PAGE)
    page(gateway)
    assert "updated_after" not in nylas.asked[0].query
    first = page(gateway, updated_after=START)
    assert nylas.asked[1].query["updated_after"] == str(SECONDS)
    page(gateway, updated_after=START, page_token=first.next_page)
    assert nylas.asked[2].query["page_token"] == "b&c"


def test_ids_are_quoted_into_one_piece_of_the_path(nylas, gateway):
    nylas.answers(ONE)
    gateway.event("g1", "a/b==#?_20260101", calendar_id="c#1")
    assert nylas.asked[0].path == "/v3/grants/g1/events/a%2Fb%3D%3D%23%3F_20260101"
    assert nylas.asked[0].query["calendar_id"] == "c#1"


@pytest.mark.parametrize("call", ["event", "update_event", "delete_event"])
def test_a_blank_id_is_not_asked_for(nylas, gateway, call):
    arguments = ("g1", "", DRAFT) if call == "update_event" else ("g1", "")
    assert failure(getattr(gateway, call), *arguments, calendar_id="c").code == "impossible-id"
    assert nylas.asked == []


def test_calendars_are_read_over_all_pages(nylas, gateway):
    nylas.answers({"data": [{"id": "1", "name": "Team"}], "next_cursor": "2"})
    nylas.answers({"data": [{"id": "2", "name": "Calendar", "is_primary": True}]})
    assert [calendar.name for calendar in gateway.calendars("g1")] == ["Team", "Calendar"]
    assert [asked.query.get("page_token") for asked in nylas.asked] == [None, "2"]
    assert nylas.asked[1].query["limit"] == "200"


def test_a_listing_of_calendars_that_goes_round_in_circles_fails(nylas, gateway):
    for cursor in ("a", "b", "a"):
        nylas.answers(EMPTY | {"next_cursor": cursor})
    assert failure(gateway.calendars, "g1").code == "repeated-cursor"


def test_one_odd_event_costs_only_itself(nylas, gateway):
    nylas.answers(PAGE | {"data": [EVENT, {"when": []}, None]})
    found = page(gateway)
    assert ([event.id for event in found.events], len(found.unreadable)) == (["e1"], 2)


# --- what is written -----------------------------------------------------------------------------


def test_a_new_event_invites_and_notifies_nobody(nylas, gateway):
    nylas.answers(ONE)
    made = gateway.create_event("g1", DRAFT, calendar_id="c1")
    assert (made.id, made.marker) == ("e1", "crm:7")
    asked = nylas.asked[0]
    assert (asked.method, asked.path) == ("POST", "/v3/grants/g1/events")
    assert asked.query == {"calendar_id": "c1", "notify_participants": "false"}
    body = json.loads(asked.body)
    assert body.pop("participants") == []
    assert body == {
        "title": "Call",
        "description": "<p>x</p>",
        "location": "Room",
        "when": {"start_time": SECONDS, "end_time": SECONDS + 3600},
        "metadata": {"key1": "crm:7"},
    }


def test_a_change_notifies_nobody_and_uninvites_nobody(nylas, gateway):
    nylas.answers(ONE)
    gateway.update_event("g1", "e1", DRAFT, calendar_id="c1")
    asked = nylas.asked[0]
    assert (asked.method, asked.path) == ("PUT", "/v3/grants/g1/events/e1")
    assert asked.query == {"calendar_id": "c1", "notify_participants": "false"}
    assert "participants" not in json.loads(asked.body)


@pytest.mark.parametrize("answer", [{"request_id": "r"}, b""])
def test_a_deletion_notifies_nobody(nylas, gateway, answer):
    nylas.answers(answer)
    gateway.delete_event("g1", "e1", calendar_id="c1")
    asked = nylas.asked[0]
    assert (asked.method, asked.path, asked.body) == ("DELETE", "/v3/grants/g1/events/e1", b"")
    assert asked.query == {"calendar_id": "c1", "notify_participants": "false"}


@pytest.mark.parametrize("status", [404, 410])
def test_deleting_what_is_gone_is_no_error(nylas, gateway, status):
    nylas.refuses(status).answers(grant("google"))
    gateway.delete_event("g1", "e1", calendar_id="c1")


def test_a_deletion_below_a_grant_that_is_gone_is_an_error(nylas, gateway):
    nylas.refuses(404).refuses(404).refuses(404)
    error = failure(gateway.delete_event, "g1", "e1", calendar_id="c1")
    assert isinstance(error, ReconnectRequired)


@pytest.mark.parametrize("body", [HTML, b"", b'{"data": '])
def test_a_new_event_whose_answer_is_lost_is_not_taken_for_refused(nylas, gateway, body):
    nylas.answers(body)
    error = failure(gateway.create_event, "g1", DRAFT, calendar_id="c1")
    assert isinstance(error, TransientError)


# --- an event of ours, found again ---------------------------------------------------------------


def test_an_event_is_found_by_its_marker_without_other_filters(nylas, gateway):
    nylas.answers(PAGE)
    assert find(gateway).id == "e1"
    query = nylas.asked[0].query
    assert set(query) == {"calendar_id", "metadata_pair", "limit", "select"}
    assert query["metadata_pair"] == "key1:crm:7"


@pytest.mark.parametrize("status", [400, 422])
def test_where_the_filter_is_refused_the_window_is_listed(nylas, gateway, status):
    nylas.refuses(status).answers(PAGE)
    assert find(gateway).id == "e1"
    query = nylas.asked[1].query
    assert "metadata_pair" not in query
    assert int(query["start"]) < SECONDS < SECONDS + 3600 < int(query["end"])
    assert query["expand_recurring"] == "false"


def test_where_the_filter_is_ignored_or_finds_nothing_the_window_is_listed_to_its_end(
    nylas, gateway
):
    other = EVENT | {"id": "other", "metadata": {"key1": "crm:8"}}
    nylas.answers({"data": [other]})
    nylas.answers({"data": [other], "next_cursor": "2"}).answers(PAGE)
    assert find(gateway).id == "e1"
    assert nylas.asked[2].query["page_token"] == "2"
    nylas.answers(EMPTY).answers({"data": [other]})
    assert find(gateway) is None


@pytest.mark.parametrize(
    "change", [{"status": "cancelled"}, {"master_event_id": "e0"}, {"metadata": {"key2": "crm:7"}}]
)
def test_neither_cancelled_events_nor_occurrences_nor_another_key_count(nylas, gateway, change):
    nylas.answers({"data": [EVENT | change]}).answers({"data": [EVENT | change]})
    assert find(gateway) is None


@pytest.mark.parametrize("status", [401, 429, 503])
def test_a_search_that_failed_never_says_that_there_is_none(nylas, gateway, status):
    nylas.answers(EMPTY).refuses(status).answers(GRANTS)
    failure(find, gateway)


def test_a_search_that_goes_round_in_circles_fails(nylas, gateway):
    nylas.answers(EMPTY)
    for cursor in ("a", "b", "a"):
        nylas.answers(EMPTY | {"next_cursor": cursor})
    assert failure(find, gateway).code == "repeated-cursor"


# --- providers that know less --------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["icloud", "ews"])
def test_where_cancelled_events_cannot_be_asked_for_the_others_are_listed(nylas, gateway, provider):
    nylas.refuses(400).answers(grant(provider)).answers(PAGE | {"next_cursor": "2"}).answers(PAGE)
    assert page(gateway).next_page == "2"
    page(gateway, page_token="2")
    assert "show_cancelled" not in nylas.asked[2].query
    # It is remembered, so that all pages of one listing are asked for alike.
    assert "show_cancelled" not in nylas.asked[3].query


def test_a_refused_listing_elsewhere_never_leaves_cancelled_events_out(nylas, gateway):
    nylas.refuses(400).answers(grant("google")).answers(PAGE)
    error = failure(page, gateway)
    assert (type(error), error.status) == (PermanentError, 400)
    page(gateway)
    assert nylas.asked[2].query["show_cancelled"] == "true"


@pytest.mark.parametrize("status", [400, 404, 405, 501])
@pytest.mark.parametrize("provider", ["imap", "yahoo"])
def test_a_provider_without_calendars_is_named_as_the_cause(nylas, gateway, status, provider):
    nylas.refuses(status)
    if status == 404:
        nylas.answers(grant(provider))
    nylas.answers(grant(provider))
    error = failure(gateway.calendars, "g1")
    assert (type(error), error.code) == (PermanentError, "calendars-unsupported")
    assert "calendar" in str(error)


def test_another_refusal_is_not_blamed_on_the_provider(nylas, gateway):
    nylas.refuses(400).answers(grant("google"))
    assert failure(gateway.calendars, "g1").code == "request-refused"
    nylas.answers(HTML, status=404)
    assert failure(gateway.calendars, "g1").code == "not-json"


# --- failures ------------------------------------------------------------------------------------


@each_call
def test_a_rejected_grant_must_be_authorised_again(nylas, gateway, call):
    nylas.refuses(401).answers(GRANTS)
    error = failure(call, gateway)
    assert isinstance(error, ReconnectRequired)
    assert error.code == "grant-rejected"


@each_call
def test_a_wrong_api_key_asks_no_rep_to_authorise_again(nylas, gateway, call):
    nylas.refuses(401).refuses(401)
    assert isinstance(failure(call, gateway), ApplicationRejected)


@each_call
def test_what_is_too_much_is_asked_again_later(nylas, gateway, call):
    nylas.answers(b"", status=429, headers={"Retry-After": "17"})
    error = failure(call, gateway)
    assert isinstance(error, TransientError)
    assert error.retry_after == 17


@each_call
@pytest.mark.parametrize("status", [500, 502, 504])
def test_what_passes_by_itself_is_transient(nylas, gateway, call, status):
    nylas.answers(HTML, status=status)
    assert isinstance(failure(call, gateway), TransientError)


@each_call
def test_a_quota_reported_as_403_costs_nobody_a_grant(nylas, gateway, call):
    nylas.refuses(403, provider_error={"errors": [{"reason": "rateLimitExceeded"}]})
    assert failure(call, gateway).code == "rate-limited"


@pytest.mark.parametrize("call", [CALLS["event"], CALLS["update_event"]])
@pytest.mark.parametrize("status", [404, 410])
def test_an_event_that_is_gone_is_gone(nylas, gateway, call, status):
    nylas.refuses(status).answers(grant("google"))
    assert isinstance(failure(call, gateway), ItemGone)


@pytest.mark.parametrize("call", [CALLS["event_page"], CALLS["create_event"]])
def test_a_calendar_that_is_gone_is_gone(nylas, gateway, call):
    nylas.refuses(404).answers(grant("google"))
    assert isinstance(failure(call, gateway), ItemGone)


@pytest.mark.parametrize("status", [400, 404, 410, 422])
def test_a_refused_page_token_asks_to_begin_the_listing_anew(nylas, gateway, status):
    nylas.refuses(status)
    assert failure(page, gateway, page_token="old").code == "page-token-refused"
    assert len(nylas.asked) == 1


@pytest.mark.parametrize("call", [CALLS["calendars"], CALLS["event_page"], CALLS["event"]])
def test_missing_permissions_for_the_calendar_have_words_of_their_own(nylas, gateway, call):
    nylas.refuses(403, type="insufficient_scopes")
    error = failure(call, gateway)
    assert isinstance(error, ReconnectRequired)
    assert error.code == "calendar-scopes-missing"
    assert "calendar" in str(error)


def calendar(*, read_only: bool) -> dict[str, Any]:
    return {"data": {"id": "c1", "name": "Team", "read_only": read_only}}


WRITES = pytest.mark.parametrize(
    "call", [CALLS["create_event"], CALLS["update_event"], CALLS["delete_event"]]
)


@WRITES
@pytest.mark.parametrize("kind", ["insufficient_scopes", "forbidden"])
def test_a_read_only_calendar_costs_nobody_a_grant(nylas, gateway, call, kind):
    nylas.refuses(403, type=kind)
    if kind == "forbidden":
        nylas.answers(GRANTS)
    nylas.answers(calendar(read_only=True))
    error = failure(call, gateway)
    assert (type(error), error.code) == (PermanentError, "read-only-calendar")


@pytest.mark.parametrize("call", [CALLS["update_event"], CALLS["delete_event"]])
def test_a_read_only_event_costs_nobody_a_grant(nylas, gateway, call):
    nylas.refuses(403, type="insufficient_scopes").answers(calendar(read_only=False))
    nylas.answers({"data": EVENT | {"read_only": True}})
    assert failure(call, gateway).code == "read-only-event"


@WRITES
def test_permissions_to_write_that_are_missing_are_known_from_a_read_only_calendar(
    nylas, gateway, call
):
    nylas.refuses(403, type="insufficient_scopes").answers(calendar(read_only=False)).answers(ONE)
    error = failure(call, gateway)
    assert isinstance(error, ReconnectRequired)
    assert error.code == "calendar-scopes-missing"


@WRITES
def test_a_refused_write_costs_no_grant_whose_calendar_can_be_read(nylas, gateway, call):
    nylas.refuses(403).answers(GRANTS).answers(calendar(read_only=False)).answers(ONE)
    error = failure(call, gateway)
    assert (type(error), error.code) == (PermanentError, "write-refused")


@WRITES
def test_a_refused_write_to_a_calendar_that_cannot_be_read_either_is_the_grants(
    nylas, gateway, call
):
    nylas.refuses(403).answers(GRANTS).refuses(403).answers(GRANTS)
    assert isinstance(failure(call, gateway), ReconnectRequired)


@WRITES
def test_a_refused_write_that_cannot_be_explained_is_tried_later(nylas, gateway, call):
    nylas.refuses(403).answers(GRANTS).refuses(503)
    assert isinstance(failure(call, gateway), TransientError)


@pytest.mark.parametrize("call", [CALLS["event_page"], CALLS["event"], CALLS["calendars"]])
def test_json_of_another_shape_is_unexpected(nylas, gateway, call):
    nylas.answers({"request_id": "r"})
    assert isinstance(failure(call, gateway), UnexpectedAnswer)


# --- against the sandbox -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


@pytest.fixture
def real(sandbox: Server) -> NylasGateway:
    return NylasGateway(api_uri=sandbox.url, api_key="sandbox-key", client_id="c")


@pytest.mark.parametrize("mailbox", [LENA, SAM], ids=["google", "microsoft"])
def test_an_event_lives_and_dies_in_the_sandbox(real: NylasGateway, mailbox: str):
    calendars = real.calendars(mailbox)
    of = {"calendar_id": next(c.id for c in calendars if c.is_primary)}
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(days=100)
    time = EventTime(start, start + HOUR, time_zone="Europe/Berlin")
    marker = f"crm:{mailbox}"
    around: dict[str, Any] = {"start": start - HOUR, "end": start + HOUR}
    assert real.find_event(mailbox, marker, **of, **around) is None

    made = real.create_event(mailbox, EventDraft("Call", "", "Room", time, marker), **of)
    assert (made.time, made.title, made.marker, made.attendees) == (time, "Call", marker, ())
    assert real.find_event(mailbox, marker, **of, **around) == made
    assert real.event_page(mailbox, **of, **around).events == (made,)

    days = EventTime(first_day=date(2027, 3, 2), last_day=date(2027, 3, 4))
    draft = EventDraft("Fair", "<b>x</b>", "", days, marker)
    changed = real.update_event(mailbox, made.id, draft, **of)
    assert (changed.id, changed.time, changed.title) == (made.id, days, "Fair")
    assert real.event(mailbox, made.id, **of) == changed

    real.delete_event(mailbox, made.id, **of)
    real.delete_event(mailbox, made.id, **of)
    assert real.find_event(mailbox, marker, **of, **around) is None
    assert isinstance(failure(real.update_event, mailbox, made.id, draft, **of), ItemGone)


def test_read_only_calendars_and_events_are_told_by_the_sandbox(real: NylasGateway):
    calendars = real.calendars(LENA)
    own = next(c.id for c in calendars if c.is_primary)
    holidays = next(c.id for c in calendars if c.is_read_only)
    draft = EventDraft("x", "", "", EventTime(START, START + HOUR), "crm:1")
    assert failure(real.create_event, LENA, draft, calendar_id=holidays).code == (
        "read-only-calendar"
    )
    now = datetime.now(UTC)
    month = timedelta(days=31)
    found = real.event_page(LENA, calendar_id=own, start=now - month, end=now + month)
    assert found.unreadable == ()
    invited = next(e for e in found.events if e.is_read_only and not e.master_event_id)
    assert failure(real.update_event, LENA, invited.id, draft, calendar_id=own).code == (
        "read-only-event"
    )


def test_an_expired_grant_is_told_by_the_sandbox(sandbox: Server, real: NylasGateway):
    email = "mia.berg@northsound.example"
    sandbox.authorise(email)
    assert real.calendars(email)
    sandbox.control("expire", mailbox=email)
    assert isinstance(failure(real.calendars, email), ReconnectRequired)
