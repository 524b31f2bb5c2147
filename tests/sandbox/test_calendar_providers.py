"""What the providers' calendars differ in, and whom they write to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from requests import Response

from tests.sandbox.conftest import ANCHOR, LENA, SAM, Receiver, Server
from tests.sandbox.test_calendar import DAY, MIDNIGHT, create, events, ids

WHEN = {"start_time": MIDNIGHT + DAY, "end_time": MIDNIGHT + DAY + 600}
WINDOW = {"start": MIDNIGHT - DAY, "end": MIDNIGHT + 3 * DAY}


@pytest.fixture(scope="module")
def world() -> Iterator[Server]:
    running = Server("--anchor", ANCHOR)
    yield running
    running.stop()


@pytest.fixture
def sam(world: Server) -> Iterator[Callable[[str], str]]:
    """Puts Sam's calendar at another provider; gives its ID."""

    def at(provider: str) -> str:
        world.control("provider", mailbox=SAM, provider=provider)
        grant = world.get(f"/v3/grants/{SAM}").json()["data"]
        assert grant["provider"] == provider
        if provider in ("imap", "yahoo"):
            return ""
        return str(world.get(f"/v3/grants/{SAM}/calendars").json()["data"][0]["id"])

    yield at
    world.control("provider", mailbox=SAM, provider="microsoft")


def listing(world: Server, mailbox: str, calendar_id: str, **params: Any) -> Response:
    query = {"calendar_id": calendar_id, **WINDOW, **params}
    return world.get(f"/v3/grants/{mailbox}/events", **query)


@pytest.mark.parametrize(
    ("provider", "parameter", "value", "status"),
    [
        ("microsoft", "updated_after", "1", 200),
        ("ews", "updated_after", "1", 200),
        ("icloud", "updated_after", "1", 400),
        ("icloud", "updated_before", "1", 400),
        ("microsoft", "show_cancelled", "true", 200),
        ("ews", "show_cancelled", "true", 400),
        ("icloud", "show_cancelled", "true", 400),
        ("icloud", "busy", "true", 400),
        ("icloud", "master_event_id", "x", 400),
        ("google", "event_type", "default", 200),
        ("microsoft", "event_type", "default", 400),
        ("ews", "expand_recurring", "true", 200),
        ("icloud", "expand_recurring", "true", 200),
    ],
)
def test_parameters_that_a_provider_does_not_know_are_refused(
    world: Server, sam: Callable[[str], str], provider: str, parameter: str, value: str, status: int
) -> None:
    answer = listing(world, SAM, sam(provider), **{parameter: value})
    assert answer.status_code == status, answer.text
    if status == 400:
        assert answer.json()["error"]["type"] == "invalid_request_error"


def test_icloud_has_neither_primary_nor_long_windows(
    world: Server, sam: Callable[[str], str]
) -> None:
    calendar_id = sam("icloud")
    assert listing(world, SAM, "primary").status_code == 400
    assert listing(world, SAM, calendar_id, end=MIDNIGHT + 360 * DAY).status_code == 200
    assert listing(world, SAM, calendar_id, end=MIDNIGHT + 400 * DAY).status_code == 400


@pytest.mark.parametrize("provider", ["imap", "yahoo"])
def test_imap_has_no_calendars(world: Server, sam: Callable[[str], str], provider: str) -> None:
    sam(provider)
    assert world.get(f"/v3/grants/{SAM}/calendars").status_code == 400
    assert listing(world, SAM, "primary").status_code == 400
    path = f"/v3/grants/{SAM}/events?calendar_id=primary"
    assert world.request("POST", path, json={"when": WHEN}).status_code == 400
    assert world.get(f"/v3/grants/{SAM}/folders").status_code == 200  # the mail stays


def test_another_provider_outlives_a_crash_and_an_authorisation(
    start: Callable[..., Server], tmp_path: Any
) -> None:
    first = start("--anchor", ANCHOR, "--state", str(tmp_path / "state"))
    first.control("provider", mailbox=SAM, provider="icloud")
    first.control("clock", mailbox=SAM, seconds=900)
    first.kill()
    second = start("--anchor", ANCHOR, "--state", str(tmp_path / "state"))
    assert second.get(f"/v3/grants/{SAM}").json()["data"]["provider"] == "icloud"
    second.request("DELETE", f"/v3/grants/{SAM}")
    second.authorise(SAM)
    assert second.get(f"/v3/grants/{SAM}").json()["data"]["provider"] == "icloud"


# --- metadata ------------------------------------------------------------------------------------


def test_a_metadata_pair_finds_events_whenever_they_are(world: Server) -> None:
    far = {"start_time": MIDNIGHT + 900 * DAY, "end_time": MIDNIGHT + 900 * DAY + 60}
    made = create(world, LENA, when=far, metadata={"key1": "crm-1", "mine": "x"})
    create(world, LENA, when=far, metadata={"key1": "crm-2"})
    answer = world.get(
        f"/v3/grants/{LENA}/events", calendar_id="primary", metadata_pair="key1:crm-1", limit=200
    )
    assert ids(answer.json()["data"]) == [made["id"]]


@pytest.mark.parametrize("other", ["start", "title", "expand_recurring", "show_cancelled"])
def test_a_metadata_pair_stands_alone(world: Server, other: str) -> None:
    params = {"calendar_id": "primary", "metadata_pair": "key1:x", other: "1"}
    assert world.get(f"/v3/grants/{LENA}/events", **params).status_code == 400


def test_metadata_is_replaced_whole(world: Server) -> None:
    made = create(world, LENA, when=WHEN, metadata={"key1": "a", "key2": "b"})
    path = f"/v3/grants/{LENA}/events/{made['id']}?calendar_id=primary"
    changed = world.request("PUT", path, json={"metadata": {"key1": "c"}}).json()["data"]
    assert changed["metadata"] == {"key1": "c"}
    kept = world.request("PUT", path, json={"title": "New"}).json()["data"]
    assert kept["metadata"] == {"key1": "c"}


@pytest.mark.parametrize(
    "body",
    [
        {"title": ""},
        {"title": "x" * 1025},
        {"metadata": {"k" * 41: "v"}},
        {"metadata": {"k": "v" * 501}},
        {"metadata": {str(n): "v" for n in range(51)}},
        {"metadata": {"k": {"nested": "v"}}},
        {"when": {**WHEN, "start_timezone": "Europe/Berlin"}},
    ],
)
def test_a_body_beyond_the_limits_is_refused(world: Server, body: dict[str, Any]) -> None:
    path = f"/v3/grants/{LENA}/events?calendar_id=primary"
    assert world.request("POST", path, json={"when": WHEN, **body}).status_code == 400


# --- read-only -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mailbox", [LENA, SAM])
def test_what_is_read_only_is_refused_in_the_providers_words(world: Server, mailbox: str) -> None:
    invited = world.control(
        "event",
        mailbox=mailbox,
        organizer={"email": "j.ruiz@harbor.example"},
        event={"title": "Theirs", "when": WHEN, "participants": [{"email": mailbox}]},
    )
    path = f"/v3/grants/{mailbox}/events/{invited['id']}?calendar_id=primary"
    answer = world.request("PUT", path, json={"title": "Mine"})
    assert answer.status_code == 403
    assert answer.json()["error"]["type"] == "provider_error"
    assert "scope" not in answer.text


def test_the_owner_of_a_calendar_may_take_the_right_to_write_away(world: Server) -> None:
    path = f"/v3/grants/{LENA}/events?calendar_id=primary"
    world.control("calendar-change", mailbox=LENA, calendar_id="primary", read_only=True)
    assert world.request("POST", path, json={"when": WHEN}).status_code == 403
    world.control("calendar-change", mailbox=LENA, calendar_id="primary", read_only=False)
    assert world.request("POST", path, json={"when": WHEN}).status_code == 200


# --- whom a provider writes to -------------------------------------------------------------------


def told(world: Server, mailbox: str) -> list[tuple[str, list[str]]]:
    found = world.get("/sandbox/notifications", mailbox=mailbox).json()["data"]
    return [(entry["what"], entry["to"]) for entry in found]


GUEST = {"email": "j.ruiz@harbor.example"}


@pytest.mark.parametrize(
    ("mailbox", "notify", "participants", "expected"),
    [
        (LENA, "false", [GUEST], []),
        (LENA, "true", [], []),
        (LENA, "true", [GUEST, {"email": LENA}], ["created", "updated", "deleted"]),
        (LENA, None, [GUEST], ["created", "updated", "deleted"]),  # the default
        (SAM, "false", [], []),
        (SAM, "false", [GUEST], ["created", "updated", "deleted"]),  # Microsoft always does
    ],
)
def test_it_is_noted_whom_a_provider_wrote_to(
    world: Server,
    mailbox: str,
    notify: str | None,
    participants: list[dict[str, str]],
    expected: list[str],
) -> None:
    before = len(told(world, mailbox))
    params = {"calendar_id": "primary"} | ({"notify_participants": notify} if notify else {})
    path = f"/v3/grants/{mailbox}/events"
    body = {"title": "x", "when": WHEN, "participants": participants}
    made = world.request("POST", path, params=params, json=body).json()["data"]
    world.request("PUT", f"{path}/{made['id']}", params=params, json={"title": "y"})
    world.request("DELETE", f"{path}/{made['id']}", params=params)
    assert told(world, mailbox)[before:] == [(what, [GUEST["email"]]) for what in expected]


def test_whoever_is_taken_out_is_written_to_as_well(world: Server) -> None:
    made = create(world, LENA, title="x", when=WHEN, participants=[GUEST])
    before = len(told(world, LENA))
    path = f"/v3/grants/{LENA}/events/{made['id']}?calendar_id=primary"
    world.request("PUT", path, json={"participants": []})
    assert told(world, LENA)[before:] == [("updated", [GUEST["email"]])]


# --- what the user and the provider do -----------------------------------------------------------


def test_a_providers_clock_may_be_wrong(world: Server) -> None:
    made = create(world, LENA, when=WHEN)
    world.control("clock", mailbox=LENA, seconds=3600)
    fast = world.control("event-change", mailbox=LENA, id=made["id"], event={"title": "Fast"})
    assert 3590 <= fast["updated_at"] - made["updated_at"] <= 3660
    assert made["id"] in ids(events(world, LENA, updated_after=made["updated_at"] + 3000))
    world.control("clock", mailbox=LENA, seconds=-3600)
    slow = world.control("event-change", mailbox=LENA, id=made["id"], event={"title": "Slow"})
    assert slow["updated_at"] < made["updated_at"]
    world.control("clock", mailbox=LENA, seconds=0)


def truth(world: Server, mailbox: str, **params: Any) -> list[dict[str, Any]]:
    answer = world.get("/sandbox/truth-events", mailbox=mailbox, **params)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


def test_the_truth_knows_all_events_of_all_calendars(world: Server) -> None:
    made = create(world, LENA, title="True", when=WHEN)
    world.control("event-delete", mailbox=LENA, id=made["id"])
    everything = truth(world, LENA)
    (found,) = [event for event in everything if event["id"] == made["id"]]
    assert (found["status"], found["title"], found["calendar_name"]) == ("cancelled", "True", LENA)
    assert {event["calendar_name"] for event in everything} >= {LENA, "Public holidays"}
    team = truth(world, LENA, calendar="public holidays")
    assert {event["calendar_name"] for event in team} == {"Public holidays"}
    assert any(event.get("recurrence") for event in everything)
    expanded = truth(world, LENA, start=MIDNIGHT - 7 * DAY, end=MIDNIGHT + 7 * DAY)
    assert not any(event.get("recurrence") for event in expanded)
    assert any(event.get("master_event_id") for event in expanded)
    refused = world.get("/sandbox/truth-events", mailbox=LENA, calendar="nothing")
    assert refused.status_code == 404


def test_an_answer_may_be_lost_after_the_event_was_made(world: Server) -> None:
    world.fault("504", path="/events", times=1, after=True)
    path = f"/v3/grants/{LENA}/events?calendar_id=primary"
    body = {"title": "Lost", "when": WHEN, "metadata": {"key1": "lost"}}
    assert world.request("POST", path, json=body).status_code == 504
    assert [event["title"] for event in truth(world, LENA)].count("Lost") == 1


# --- webhooks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mailbox", [LENA, SAM])
def test_of_a_series_only_the_master_is_announced(
    world: Server, receiver: Receiver, mailbox: str
) -> None:
    day = MIDNIGHT + 300 * DAY
    made = create(
        world,
        mailbox,
        title="Series",
        when={"start_time": day, "end_time": day + 600},
        recurrence=["RRULE:FREQ=DAILY;COUNT=4"],
    )
    window = {"start": day, "end": day + 9 * DAY, "expand_recurring": "true", "title": "Series"}
    _, second, third, _ = events(world, mailbox, **window)
    hook = world.request(
        "POST",
        "/v3/webhooks",
        json={
            "webhook_url": receiver.url,
            "trigger_types": ["event.created", "event.updated", "event.deleted"],
        },
    ).json()["data"]
    world.control("event-change", mailbox=mailbox, id=second["id"], event={"title": "Other"})
    receiver.wait_for(1)  # Deliveries keep no order.
    world.control("event-delete", mailbox=mailbox, id=third["id"])
    receiver.wait_for(2)
    world.control("event-delete", mailbox=mailbox, id=made["id"])
    edited, cancelled, gone = receiver.wait_for(3)
    world.request("DELETE", f"/v3/webhooks/{hook['id']}")
    assert [n["type"] for n in (edited, cancelled, gone)] == [
        "event.updated",
        "event.updated",
        "event.deleted",
    ]
    objects = [n["data"]["object"] for n in (edited, cancelled, gone)]
    assert [o["id"] for o in objects] == [made["id"]] * 3
    is_google = mailbox == LENA
    assert objects[0].get("occurrences") == ([second["id"]] if is_google else None)
    assert objects[1].get("cancelled_occurrences") == ([third["id"]] if is_google else None)
    assert set(objects[2]) == {"id", "grant_id", "object", "calendar_id"}
    assert "time" not in gone
