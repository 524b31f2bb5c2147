"""Calendars: the window, recurring events, what providers do differently."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sandbox.errors import ApiError
from sandbox.recurrence import starts
from tests.sandbox.conftest import ANCHOR, LENA, SAM, Server

MIDNIGHT = int(datetime.fromisoformat(ANCHOR).timestamp())
DAY = 86_400


@pytest.fixture(scope="module")
def world() -> Iterator[Server]:
    running = Server("--anchor", ANCHOR)
    yield running
    running.stop()


def events(world: Server, mailbox: str, **params: Any) -> list[dict[str, Any]]:
    query = {
        "calendar_id": "primary",
        "start": MIDNIGHT - 35 * DAY,
        "end": MIDNIGHT + 35 * DAY,
        "limit": 200,
        **params,
    }
    answer = world.get(f"/v3/grants/{mailbox}/events", **query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


def create(world: Server, mailbox: str, **body: Any) -> dict[str, Any]:
    path = f"/v3/grants/{mailbox}/events?calendar_id=primary"
    answer = world.request("POST", path, json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["data"])


def ids(found: list[dict[str, Any]]) -> list[str]:
    return [event["id"] for event in found]


def test_a_calendar_is_believable(world: Server) -> None:
    found = events(world, LENA)
    assert {event["when"]["object"] for event in found} == {"timespan", "date", "datespan"}
    assert {event["visibility"] for event in found} >= {"default", "public"}
    assert any(event["organizer"]["email"] != LENA for event in found)
    assert any(event.get("recurrence") for event in found)
    assert any("." in p["email"] for event in found for p in event["participants"])


@pytest.mark.parametrize("mailbox", [LENA, SAM])
def test_there_is_something_to_show_around_today(world: Server, mailbox: str) -> None:
    people = world.get("/sandbox/world").json()
    username = next(p["username"] for p in people["personas"] if p["email"] == mailbox)
    mine = {
        address
        for customer in people["customers"]
        for contact in customer["contacts"]
        if username in contact["my_contact_of"]
        for address in contact["addresses"]
    }
    fortnight = {"start": MIDNIGHT - 14 * DAY, "end": MIDNIGHT + 14 * DAY}
    found = events(world, mailbox, expand_recurring="true", show_cancelled="true", **fortnight)
    with_mine = [e for e in found if mine & {p["email"] for p in e["participants"]}]
    timed = [e for e in with_mine if e["when"]["object"] == "timespan"]
    assert len([e for e in timed if e["when"]["start_time"] < MIDNIGHT]) >= 5
    assert len([e for e in timed if e["when"]["start_time"] >= MIDNIGHT]) >= 5
    assert {e["when"]["object"] for e in with_mine} == {"timespan", "date", "datespan"}
    assert any(e["visibility"] == "private" for e in with_mine)
    assert any(e["organizer"]["email"] in mine for e in with_mine)
    series = [e for e in with_mine if e.get("master_event_id")]
    assert [e for e in series if e["status"] == "cancelled"]
    assert [e for e in series if e["when"]["start_time"] != e["original_start_time"]]
    assert [e for e in found if not e["participants"]]


def test_overlap_counts_and_touching_does_not(world: Server) -> None:
    begin = MIDNIGHT + 200 * DAY
    made = create(world, SAM, when={"start_time": begin, "end_time": begin + 3600})
    for start, end, expected in (
        (begin - 60, begin + 60, True),
        (begin + 60, begin + 120, True),
        (begin - 60, begin, False),
        (begin + 3600, begin + 7200, False),
    ):
        assert (made["id"] in ids(events(world, SAM, start=start, end=end))) is expected


def test_without_a_window_it_is_from_now_for_a_month(world: Server) -> None:
    now = int(datetime.now(UTC).timestamp())
    soon = create(world, SAM, when={"start_time": now + DAY, "end_time": now + DAY + 60})
    late = create(world, SAM, when={"start_time": now + 40 * DAY, "end_time": now + 41 * DAY})
    past = create(world, SAM, when={"start_time": now - 60, "end_time": now - 30})
    answer = world.get(f"/v3/grants/{SAM}/events", calendar_id="primary", limit=200).json()
    found = ids(answer["data"])
    assert soon["id"] in found
    assert late["id"] not in found
    assert past["id"] not in found


@pytest.mark.parametrize("limit", [3, 10])
def test_pages_of_events(world: Server, limit: int) -> None:
    everything = ids(events(world, LENA, expand_recurring="true"))
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = world.get(
            f"/v3/grants/{LENA}/events",
            calendar_id="primary",
            start=MIDNIGHT - 35 * DAY,
            end=MIDNIGHT + 35 * DAY,
            expand_recurring="true",
            limit=limit,
            **cursor,
        ).json()
        found += ids(answer["data"])
        if "next_cursor" not in answer:
            break
        cursor = {"page_token": answer["next_cursor"]}
    assert found == everything


def test_recurring_events_expand(world: Server) -> None:
    masters = [e for e in events(world, LENA) if e.get("recurrence")]
    (monday,) = [e for e in masters if e["title"] == "Monday meeting"]
    expanded = events(world, LENA, expand_recurring="true", show_cancelled="true")
    mine = [e for e in expanded if e.get("master_event_id") == monday["id"]]
    assert len(mine) == 10
    assert [e["status"] for e in mine].count("cancelled") == 1
    assert all(e["id"] != e["master_event_id"] and "recurrence" not in e for e in mine)
    assert {e["ical_uid"] for e in mine} == {monday["ical_uid"]}
    zone = ZoneInfo("Europe/Berlin")
    ordinary = [e for e in mine if e["when"]["start_time"] == e["original_start_time"]]
    times = {datetime.fromtimestamp(e["original_start_time"], zone) for e in ordinary}
    # Half past nine on the clock, although summer time begins in between.
    assert {(t.weekday(), t.hour, t.minute) for t in times} == {(0, 9, 30)}
    by_master = events(world, LENA, master_event_id=monday["id"], show_cancelled="true")
    assert ids(by_master) == ids(mine)
    one = world.get(f"/v3/grants/{LENA}/events/{ordinary[0]['id']}", calendar_id="primary")
    assert one.json()["data"] == ordinary[0]


def test_one_occurrence_is_changed_and_one_deleted(world: Server) -> None:
    begin = MIDNIGHT + 100 * DAY
    made = create(
        world,
        SAM,
        title="Daily",
        busy=False,
        when={
            "start_time": begin,
            "end_time": begin + 600,
            "start_timezone": "Europe/Berlin",
            "end_timezone": "Europe/Berlin",
        },
        recurrence=["RRULE:FREQ=DAILY;COUNT=5"],
    )
    window = {
        "start": begin, "end": begin + 10 * DAY, "expand_recurring": "true", "busy": "false",
    }  # fmt: skip
    first, second, third, *_ = events(world, SAM, **window)
    path = f"/v3/grants/{SAM}/events"
    of = {"calendar_id": "primary"}
    changed = world.request("PUT", f"{path}/{second['id']}", params=of, json={"title": "Moved"})
    assert changed.json()["data"]["master_event_id"] == made["id"]
    world.request("DELETE", f"{path}/{third['id']}", params=of)
    left = events(world, SAM, **window)
    assert [e["title"] for e in left] == ["Daily", "Moved", "Daily", "Daily"]
    folded = events(world, SAM, **{**window, "expand_recurring": "false"})
    assert sorted(e["title"] for e in folded) == ["Daily", "Moved"]
    world.request("DELETE", f"{path}/{made['id']}", params=of)
    assert first["id"] not in ids(events(world, SAM, **window))
    assert not events(world, SAM, **{**window, "show_cancelled": "true"})


def test_a_deleted_event_stays_readable_at_google_only(world: Server) -> None:
    when = {"start_time": MIDNIGHT, "end_time": MIDNIGHT + 60}
    for mailbox, status in ((LENA, 200), (SAM, 404)):
        made = create(world, mailbox, when=when)
        path = f"/v3/grants/{mailbox}/events/{made['id']}"
        of = {"calendar_id": "primary"}
        assert world.request("DELETE", path, params=of).status_code == 200
        assert made["id"] not in ids(events(world, mailbox))
        gone = world.get(path, **of)
        assert gone.status_code == status
        shown = ids(events(world, mailbox, show_cancelled="true"))
        assert (made["id"] in shown) is (status == 200)
        assert world.request("DELETE", path, params=of).status_code == 404


def test_invitations_reach_colleagues_and_answers_come_back(world: Server) -> None:
    when = {"start_time": MIDNIGHT + DAY, "end_time": MIDNIGHT + DAY + 60}
    made = create(world, SAM, title="Us", when=when, participants=[{"email": LENA}])
    (copy,) = [e for e in events(world, LENA) if e["ical_uid"] == made["ical_uid"]]
    assert copy["id"] != made["id"]
    assert copy["organizer"]["email"] == SAM
    of = {"calendar_id": "primary"}
    path = f"/v3/grants/{LENA}/events/{copy['id']}/send-rsvp"
    assert world.request("POST", path, params=of, json={"status": "maybe"}).status_code == 200
    mine = world.get(f"/v3/grants/{SAM}/events/{made['id']}", **of).json()["data"]
    assert mine["participants"][0]["status"] == "maybe"
    body = {"title": "Us, later"}
    world.request("PUT", f"/v3/grants/{SAM}/events/{made['id']}", params=of, json=body)
    theirs = world.get(f"/v3/grants/{LENA}/events/{copy['id']}", **of).json()["data"]
    assert theirs["title"] == "Us, later"
    found = world.get(f"/v3/grants/{LENA}/events", ical_uid=made["ical_uid"], **of).json()["data"]
    assert ids(found) == [copy["id"]]


def test_updated_after(world: Server) -> None:
    when = {"start_time": MIDNIGHT, "end_time": MIDNIGHT + 60}
    made = create(world, SAM, when=when)
    assert made["id"] in ids(events(world, SAM, updated_after=made["updated_at"] - 1))
    assert made["id"] not in ids(events(world, SAM, updated_after=made["updated_at"]))


def test_switches_change_events_as_a_mail_app_would(world: Server) -> None:
    when = {"start_time": MIDNIGHT + 3600, "end_time": MIDNIGHT + 7200}
    made = world.control("event", mailbox=SAM, event={"title": "From outside", "when": when})
    world.control("event-change", mailbox=SAM, id=made["id"], event={"location": "Hall"})
    (found,) = [e for e in events(world, SAM) if e["id"] == made["id"]]
    assert (found["title"], found["location"]) == ("From outside", "Hall")
    world.control("event-change", mailbox=SAM, id=made["id"], status="cancelled")
    assert made["id"] not in ids(events(world, SAM))
    assert world.control("event-delete", mailbox=SAM, id=made["id"])["status"] == "gone"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("FREQ=DAILY;COUNT=3", ["01-30", "01-31", "02-01"]),
        ("FREQ=DAILY;INTERVAL=10;UNTIL=20260225", ["01-30", "02-09", "02-19"]),
        ("FREQ=WEEKLY;BYDAY=MO,FR;COUNT=4", ["01-30", "02-02", "02-06", "02-09"]),
        ("FREQ=MONTHLY;COUNT=3", ["01-30", "03-30", "04-30"]),  # no 30 February
        ("FREQ=YEARLY;COUNT=1", ["01-30"]),
    ],
)
def test_rules(rule: str, expected: list[str]) -> None:
    zone = ZoneInfo("Europe/Berlin")
    begin = int(datetime(2026, 1, 30, 9, 0, tzinfo=zone).timestamp())
    until = begin + 200 * DAY
    found = [
        datetime.fromtimestamp(moment, zone)
        for moment in starts(begin, "Europe/Berlin", [f"RRULE:{rule}"], until)
    ]
    assert [f"{moment:%m-%d}" for moment in found] == expected
    assert {moment.hour for moment in found} == {9}


def test_excluded_dates_and_unknown_rules() -> None:
    begin = int(datetime(2026, 1, 5, 9, tzinfo=UTC).timestamp())
    lines = ["RRULE:FREQ=DAILY;COUNT=3", "EXDATE:20260106T090000Z"]
    assert len(list(starts(begin, None, lines, begin + 9 * DAY))) == 2
    with pytest.raises(ApiError, match="not modelled"):
        list(starts(begin, None, ["RRULE:FREQ=DAILY;BYSETPOS=1"], begin + DAY))
