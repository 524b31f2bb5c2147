"""Calendars and events between Nylas's JSON and our types, without HTTP."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_sync.providers.errors import PermanentError, ProviderError, UnexpectedAnswer
from crm_sync.providers.nylas_calendar import (
    LONGEST_TITLE,
    event_time,
    read_calendars,
    read_event,
    read_events,
    time_zone,
    written,
)
from crm_sync.providers.types import Attendee, Calendar, Event, EventDraft, EventPage, EventTime

START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECONDS = int(START.timestamp())

GOOD: dict[str, Any] = {
    "id": "e1_20260302T093000Z",
    "object": "event",
    "grant_id": "g1",
    "calendar_id": "c1",
    "title": "Media plan",
    "description": "<p>With <b>numbers</b></p>",
    "location": "Room Aurora",
    "status": "confirmed",
    "visibility": "private",
    "read_only": True,
    "when": {
        "object": "timespan",
        "start_time": SECONDS,
        "end_time": SECONDS + 3600,
        "start_timezone": "Europe/Berlin",
        "end_timezone": "Europe/Berlin",
    },
    "organizer": {"name": "Ann", "email": "Ann@Harbor.example"},
    "participants": [
        {"name": "Ann", "email": "Ann@Harbor.example", "status": "yes"},
        {"name": "Room 4", "status": "noreply"},
    ],
    "ical_uid": "e1@harbor.example",
    "master_event_id": "e1",
    "original_start_time": SECONDS - 60,
    "recurrence": None,
    "updated_at": SECONDS - 3600,
    "metadata": {"key1": "crm:7", "other": "x"},
}


def page_of(*items: Any, **envelope: Any) -> EventPage:
    content = json.dumps({"request_id": "r", "data": items, **envelope}).encode()
    return read_events(content, "c-asked")


def only(**changes: Any) -> Event:
    page = page_of(GOOD | changes)
    assert page.unreadable == ()
    return page.events[0]


def test_a_whole_event_is_read():
    assert only() == Event(
        id="e1_20260302T093000Z",
        calendar_id="c1",
        title="Media plan",
        description="<p>With <b>numbers</b></p>",
        location="Room Aurora",
        time=EventTime(START, START + HOUR, time_zone="Europe/Berlin"),
        status="confirmed",
        is_private=True,
        is_read_only=True,
        organiser=Attendee("Ann@Harbor.example", "Ann"),
        attendees=(Attendee("Ann@Harbor.example", "Ann", "yes"), Attendee("", "Room 4", "noreply")),
        ical_uid="e1@harbor.example",
        master_event_id="e1",
        original_start=START - timedelta(seconds=60),
        recurrence=(),
        updated_at=START - HOUR,
        marker="crm:7",
    )


def test_everything_but_the_id_may_be_null_or_missing():
    bare = page_of({"id": "e1"}).events[0]
    assert bare == Event(id="e1", calendar_id="c-asked")
    assert page_of(dict.fromkeys(GOOD) | {"id": "e1"}).events[0] == bare


def test_an_event_is_read_with_what_is_usable():
    odd = {name: [{"x": 1}] for name in GOOD if name != "recurrence"} | {"id": "e1", "title": "Ok"}
    event = page_of(odd).events[0]
    assert event == Event(id="e1", calendar_id="c-asked", title="Ok")


def test_one_odd_event_costs_only_itself():
    page = page_of(GOOD, None, "text", [], {}, {"id": ""}, {"id": " "}, {"id": True}, {"id": 7})
    assert [event.id for event in page.events] == [GOOD["id"], "7"]
    assert len(page.unreadable) == 7
    assert {item.id for item in page.unreadable} == {""}


def test_the_next_page_is_told_and_a_blank_one_is_the_end():
    assert page_of(next_cursor="abc").next_page == "abc"
    assert page_of(next_cursor="").next_page is None
    assert page_of(next_cursor=None).next_page is None


def test_texts_are_fit_to_be_stored():
    event = read_events(b'{"data": [{"id": "e1", "title": "a\\u0000b\\ud800"}]}', "c").events[0]
    assert event.title == "ab\ufffd"


# --- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("confirmed", "confirmed"),
        ("CANCELLED", "cancelled"),
        ("canceled", "cancelled"),
        ("maybe", "maybe"),
        ("tentative", "maybe"),
        ("something new", "confirmed"),
        ("", "confirmed"),
        (None, "confirmed"),
        (3, "confirmed"),
    ],
)
def test_states(status, expected):
    assert only(status=status).status == expected


@pytest.mark.parametrize(
    ("visibility", "expected"),
    [("private", True), ("public", False), ("default", False), (None, False), ("", False)],
)
def test_private_events_are_known(visibility, expected):
    assert only(visibility=visibility).is_private is expected


@pytest.mark.parametrize("metadata", [None, {}, [], "crm:7", {"key2": "crm:7"}, {"key1": 7}])
def test_an_event_that_is_not_ours_has_no_marker(metadata):
    assert only(metadata=metadata).marker == ""


def test_participants_may_be_anything_and_many():
    many = [{"email": f"p{n}@harbor.example", "status": "maybe"} for n in range(500)]
    odd: list[Any] = [None, 7, [], {}, {"email": None, "name": " "}, "bare@harbor.example"]
    attendees = only(participants=many + odd).attendees
    assert len(attendees) == 501
    assert attendees[499] == Attendee("p499@harbor.example", "", "maybe")
    assert attendees[500] == Attendee("bare@harbor.example")


@pytest.mark.parametrize("status", ["noReply!", "accepted", None, 1, ["yes"]])
def test_an_unknown_answer_of_a_participant_is_none(status):
    attendees = only(participants=[{"email": "a@harbor.example", "status": status}]).attendees
    assert attendees[0].status == ""


def test_the_organiser_may_be_missing():
    assert only(organizer=None).organiser is None
    assert only(organizer={"name": "", "email": ""}).organiser is None


@pytest.mark.parametrize(
    ("recurrence", "lines"),
    [
        (["RRULE:FREQ=DAILY", 7, "EXDATE:20260101"], ("RRULE:FREQ=DAILY", "EXDATE:20260101")),
        ({"rrule": ["RRULE:FREQ=DAILY"], "timezone": "UTC"}, ("RRULE:FREQ=DAILY",)),
        ("RRULE:FREQ=DAILY", ("RRULE:FREQ=DAILY",)),
        ({}, ()),
        (7, ()),
    ],
)
def test_recurrence(recurrence, lines):
    assert only(recurrence=recurrence).recurrence == lines


# --- times ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [None, "timespan", "date", "nonsense", 7])
@pytest.mark.parametrize("seconds", [SECONDS, float(SECONDS), str(SECONDS)])
def test_a_timespan_is_known_by_its_fields_whatever_its_form_is_called(form, seconds):
    when = {"object": form, "start_time": seconds, "end_time": SECONDS + 60}
    assert event_time(when) == EventTime(START, START + timedelta(minutes=1))


@pytest.mark.parametrize(
    "end", [SECONDS, SECONDS - 3600, 0, -5, None, "soon", 10**15, 1e400, True, [], {}]
)
def test_an_end_that_cannot_be_is_the_start(end):
    assert event_time({"start_time": SECONDS, "end_time": end}) == EventTime(START, START)


@pytest.mark.parametrize(
    "when",
    [
        None,
        {},
        [],
        "2026-03-02",
        {"object": "timespan"},
        {"end_time": SECONDS},
        {"start_time": 10**15, "end_time": 10**15},
        {"start_time": -(10**9), "end_time": SECONDS},
        {"date": "9999-12-31"},
        {"date": "0001-01-01"},
        {"date": "31.12.2026"},
        {"date": 20260302},
        {"start_date": "2026-13-01", "end_date": "2026-13-02"},
    ],
)
def test_without_a_usable_start_there_is_no_time(when):
    assert event_time(when) is None


def test_an_instant_has_no_length():
    assert event_time({"time": SECONDS, "timezone": "Asia/Tokyo"}) == EventTime(
        START, START, time_zone="Asia/Tokyo"
    )


def day(n: int) -> date:
    return date(2026, 3, n)


@pytest.mark.parametrize(
    ("when", "first", "last"),
    [
        ({"object": "date", "date": "2026-03-02"}, 2, 2),
        ({"date": " 2026-03-02T00:00:00Z"}, 2, 2),
        ({"start_date": "2026-03-02", "end_date": "2026-03-04"}, 2, 4),
        ({"start_date": "2026-03-02", "end_date": "2026-03-01"}, 2, 2),
        ({"start_date": "2026-03-02"}, 2, 2),
        ({"start_date": "2026-03-02", "end_date": "later"}, 2, 2),
        ({"start_time": None, "date": "2026-03-02"}, 2, 2),
    ],
)
def test_all_day_events_have_days_and_no_instants(when, first, last):
    time = event_time(when)
    assert time == EventTime(first_day=day(first), last_day=day(last))
    assert time.is_all_day


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        (" UTC ", "UTC"),
        ("W. Europe Standard Time", ""),
        ("Europe", ""),
        ("../../etc/passwd", ""),
        ("/etc/localtime", ""),
        ("", ""),
        (None, ""),
        (7, ""),
        ("Ж" * 5000, ""),
    ],
)
def test_only_real_time_zones_are_kept(name, expected):
    assert time_zone(name) == expected


def test_where_the_start_has_no_zone_the_event_has_none():
    assert event_time({"start_time": SECONDS, "end_timezone": "Asia/Tokyo"}).time_zone == ""


# --- calendars -----------------------------------------------------------------------------------


def calendars_of(*items: Any) -> list[Calendar]:
    return read_calendars(json.dumps({"data": items}).encode())[0]


def test_calendars_are_read():
    given = {
        "id": "c1",
        "name": "Team",
        "is_primary": True,
        "read_only": True,
        "timezone": "Europe/Berlin",
    }
    assert calendars_of(given, {"id": "c2"}) == [
        Calendar("c1", "Team", is_primary=True, is_read_only=True, time_zone="Europe/Berlin"),
        Calendar("c2", ""),
    ]
    odd = {"id": "c1", "name": 7, "is_primary": "yes", "read_only": None, "timezone": "x"}
    assert calendars_of(odd) == [Calendar("c1", "")]


@pytest.mark.parametrize("item", [{"name": "Team"}, {"id": None}, None, "Team"])
def test_a_calendar_without_an_id_spoils_the_listing(item):
    # Or the rep's items might go into another calendar than the one that was chosen.
    with pytest.raises(UnexpectedAnswer):
        calendars_of({"id": "c1", "name": "Calendar"}, item)


# --- one event -----------------------------------------------------------------------------------


def test_one_event_is_read_and_may_leave_its_id_out():
    assert read_event(json.dumps({"data": GOOD}).encode(), "c") == only()
    assert read_event(b'{"data": {"title": "x"}}', "c", event_id="e9").id == "e9"


def test_a_new_event_without_an_id_is_of_no_use():
    with pytest.raises(PermanentError) as caught:
        read_event(b'{"data": {"title": "x"}}', "c")
    assert caught.value.code == "unreadable-event"


# --- what we write -------------------------------------------------------------------------------


def body_of(time: EventTime, **changes: Any) -> dict[str, Any]:
    values = {"title": "Call", "description": "", "location": "", "marker": "crm:7"} | changes
    return written(EventDraft(time=time, **values))


@pytest.mark.parametrize(
    ("time", "when"),
    [
        (
            EventTime(START, START + HOUR, time_zone="Europe/Berlin"),
            {
                "start_time": SECONDS,
                "end_time": SECONDS + 3600,
                "start_timezone": "Europe/Berlin",
                "end_timezone": "Europe/Berlin",
            },
        ),
        (EventTime(START, START + HOUR), {"start_time": SECONDS, "end_time": SECONDS + 3600}),
        (EventTime(START, START, time_zone="UTC"), {"time": SECONDS, "timezone": "UTC"}),
        (EventTime(START), {"time": SECONDS}),
        (EventTime(first_day=day(2), last_day=day(2)), {"date": "2026-03-02"}),
        (
            EventTime(first_day=day(2), last_day=day(4)),
            {"start_date": "2026-03-02", "end_date": "2026-03-04"},
        ),
    ],
)
def test_the_forms_of_a_time(time, when):
    assert body_of(time)["when"] == when
    assert event_time(when) == (
        time if time.ends_at or time.is_all_day else EventTime(START, START)
    )


def test_an_event_of_ours_carries_its_marker_and_names_nobody():
    body = body_of(EventTime(START, START + HOUR), title="t" * 2000, description="<b>x</b>")
    assert set(body) == {"title", "description", "location", "when", "metadata"}
    assert body["metadata"] == {"key1": "crm:7"}
    assert body["description"] == "<b>x</b>"
    assert len(body["title"]) == LONGEST_TITLE


def test_a_blank_title_is_left_out():
    assert "title" not in body_of(EventTime(START, START + HOUR), title=" ")


# --- anything at all -----------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
SECONDS_OR_SO = JSON | st.integers(-(10**12), 10**12) | st.floats(-1e11, 1e11)
DAYS_OR_SO = JSON | st.dates().map(str)
WHEN = JSON | st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("start_time", "end_time", "time"), SECONDS_OR_SO),
        **dict.fromkeys(("date", "start_date", "end_date"), DAYS_OR_SO),
        "start_timezone": JSON,
        "timezone": JSON,
    },
)
EVENTS = JSON | st.fixed_dictionaries(
    {"id": JSON},
    optional={
        **{name: JSON for name in GOOD if name not in {"id", "when"}},
        "when": WHEN,
    },
)


@settings(max_examples=150, deadline=None)
@given(st.lists(EVENTS, max_size=4))
def test_whatever_comes_as_an_event_costs_at_most_itself(items):
    page = page_of(*items)
    assert len(page.events) + len(page.unreadable) == len(items)
    for event in page.events:
        assert event.id
        assert event.status in {"confirmed", "maybe", "cancelled"}
        match event.time:
            case EventTime(None, None, date() as first, date() as last):
                assert first <= last
            case EventTime(datetime() as start, datetime() as end, None, None):
                assert start <= end
                assert start.tzinfo is UTC
            case unknown:
                assert unknown is None


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60) | JSON.map(json.dumps).map(str.encode))
def test_whatever_comes_as_an_answer_ends_in_a_page_or_in_our_errors(content):
    for read in (
        lambda: read_events(content, "c"),
        lambda: read_event(content, "c"),
        lambda: read_calendars(content),
    ):
        try:
            read()
        except ProviderError:
            pass
