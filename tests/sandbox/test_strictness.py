"""What the real API would refuse, the sandbox refuses, in the same shape."""

from __future__ import annotations

import base64
import email
import email.policy

import pytest

from tests.sandbox.conftest import KEY, LENA, MIA, SAM, Server

MESSAGES = f"/v3/grants/{LENA}/messages"


def assert_refused(server: Server, path: str, status: int, kind: str, **params: str) -> str:
    answer = server.get(path, **params)
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body.keys() == {"request_id", "error"}
    assert body["error"]["type"] == kind
    return str(body["error"]["message"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("surprise", "1"),
        ("offset", "10"),
        ("limit", "201"),
        ("limit", "0"),
        ("limit", "many"),
        ("limit", "None"),
        ("unread", "maybe"),
        ("starred", "None"),
        ("has_attachment", "yes"),
        ("received_after", "2026-01-01"),
        ("received_after", "1.5"),
        ("received_before", "None"),
        ("fields", "everything"),
        ("in", "inbox"),
        ("in", "in:inbox"),
        ("in", "Clients"),
        ("any_email", ",".join(f"a{n}@b.example" for n in range(26))),
        ("page_token", "no cursor"),
        ("metadata_pair", "key9:x"),
    ],
)
def test_a_wrong_parameter_is_refused(server: Server, name: str, value: str) -> None:
    message = assert_refused(server, MESSAGES, 400, "invalid_request_error", **{name: value})
    assert name in message


@pytest.mark.parametrize(
    "params",
    [
        {"search_query_native": "offer", "unread": "true"},
        {"metadata_pair": "key1:x", "subject": "offer"},
    ],
)
def test_filters_that_exclude_each_other(server: Server, params: dict[str, str]) -> None:
    assert_refused(server, MESSAGES, 400, "invalid_request_error", **params)


def test_twenty_five_addresses_are_allowed(server: Server) -> None:
    addresses = ",".join(["j.ruiz@harbor.example", *(f"a{n}@b.example" for n in range(24))])
    assert server.get(MESSAGES, any_email=addresses).status_code == 200


def test_a_repeated_parameter_counts_once(server: Server) -> None:
    """The SDK repeats the key for a list; only one comma-separated text does what is meant."""
    both = server.get(MESSAGES, any_email="j.ruiz@harbor.example,traffic@northsound.example").json()
    repeated = server.get(
        MESSAGES, any_email=["j.ruiz@harbor.example", "traffic@northsound.example"]
    ).json()
    first = server.get(MESSAGES, any_email="j.ruiz@harbor.example").json()
    assert repeated["data"] == first["data"]
    assert len(both["data"]) > len(first["data"])


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer"}, {"Authorization": f"Basic {KEY}"}, {"Authorization": KEY}],
)
def test_without_a_key_nothing_is_answered(server: Server, headers: dict[str, str]) -> None:
    for path in ("/v3/grants", MESSAGES, "/v3/webhooks"):
        answer = server.request("GET", path, headers=headers)
        assert (answer.status_code, answer.json()["error"]["type"]) == (401, "unauthorized")


def test_unknown_things_are_not_found(server: Server) -> None:
    for path in (
        f"{MESSAGES}/0123456789abcdef",
        f"{MESSAGES}/nonsense",
        f"/v3/grants/{LENA}/threads/x",
        f"/v3/grants/{LENA}/folders/x",
        f"/v3/grants/{LENA}/events/x?calendar_id=primary",
        "/v3/webhooks/x",
        "/v3/nothing",
    ):
        assert_refused(server, path, 404, "not_found_error")
    assert_refused(server, "/v3/grants/nobody@x.example/messages", 404, "grant.not_found")
    assert_refused(server, f"/v3/grants/{MIA}/messages", 404, "grant.not_found")


def test_an_id_of_another_mailbox_is_not_found(server: Server) -> None:
    theirs = server.get(f"/v3/grants/{SAM}/messages", limit=1).json()["data"][0]["id"]
    assert_refused(server, f"{MESSAGES}/{theirs}", 404, "not_found_error")


def test_an_expired_grant_is_refused_everywhere_but_on_itself(server: Server) -> None:
    server.authorise(MIA)
    server.control("expire", mailbox=MIA)
    for room in ("messages", "folders", "threads", "calendars"):
        assert server.get(f"/v3/grants/{MIA}/{room}").status_code == 401
    grant = server.get(f"/v3/grants/{MIA}").json()["data"]
    assert grant["grant_status"] == "invalid"
    renewed = server.authorise(MIA)
    assert renewed == grant["id"]
    assert server.get(f"/v3/grants/{MIA}/messages").status_code == 200
    server.request("DELETE", f"/v3/grants/{MIA}")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("{}", "text/plain"),
        ("{", "application/json"),
        ('{"subject": "no recipient"}', "application/json"),
        ('{"to": "a@b.example", "subject": "x"}', "application/json"),
        ('{"to": [{"email": "a@b.example"}], "subject": 7}', "application/json"),
        ('{"to": [{"email": "a@b.example"}], "surprise": 1}', "application/json"),
        ('{"to": [{"email": "nobody"}]}', "application/json"),
    ],
)
def test_a_wrong_body_is_refused(server: Server, body: str, content_type: str) -> None:
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": content_type}
    answer = server.request("POST", f"{MESSAGES}/send", data=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


def test_an_idempotency_key_has_a_length(server: Server) -> None:
    headers = {"Authorization": f"Bearer {KEY}", "Idempotency-Key": "k" * 257}
    body = {"to": [{"email": "a@b.example"}]}
    answer = server.request("POST", f"{MESSAGES}/send", json=body, headers=headers)
    assert answer.json()["error"]["type"] == "api.invalid_idempotency_key"


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"calendar_id": "primary", "start": "20", "end": "10"},
        {"calendar_id": "primary", "expand_recurring": "perhaps"},
        {"calendar_id": "primary", "ical_uid": "x", "title": "y"},
        {"calendar_id": "primary", "event_type": "party"},
        {"calendar_id": "primary", "limit": "201"},
    ],
)
def test_event_lists_are_strict(server: Server, params: dict[str, str]) -> None:
    assert_refused(server, f"/v3/grants/{LENA}/events", 400, "invalid_request_error", **params)


@pytest.mark.parametrize(
    "when",
    [
        {},
        {"start_time": 10},
        {"start_time": 10, "end_time": 10},
        {"date": "tomorrow"},
        {"start_date": "2026-02-02", "end_date": "2026-02-01"},
        {"start_time": 1, "end_time": 2, "start_timezone": "Moon/Base"},
        {"object": "date", "start_time": 1, "end_time": 2},
        {"time": 1, "date": "2026-02-02"},
    ],
)
def test_an_impossible_when_is_refused(server: Server, when: dict[str, object]) -> None:
    path = f"/v3/grants/{LENA}/events?calendar_id=primary"
    answer = server.request("POST", path, json={"title": "x", "when": when})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


def test_a_microsoft_event_has_no_default_visibility(server: Server) -> None:
    body = {"when": {"start_time": 1, "end_time": 2}, "visibility": "default"}
    for mailbox, status in ((SAM, 400), (LENA, 200)):
        path = f"/v3/grants/{mailbox}/events?calendar_id=primary"
        assert server.request("POST", path, json=body).status_code == status


def test_a_read_only_calendar_is_not_written(server: Server) -> None:
    calendars = server.get(f"/v3/grants/{LENA}/calendars").json()["data"]
    (holidays,) = [c["id"] for c in calendars if c["read_only"]]
    path = f"/v3/grants/{LENA}/events"
    body = {"when": {"date": "2026-02-02"}}
    answer = server.request("POST", path, params={"calendar_id": holidays}, json=body)
    assert answer.status_code == 403


def test_a_microsoft_message_is_in_one_folder(server: Server) -> None:
    made = server.deliver(SAM)
    body = {"folders": [server.folder(SAM, "inbox"), server.folder(SAM, "trash")]}
    answer = server.request("PUT", f"/v3/grants/{SAM}/messages/{made['id']}", json=body)
    assert answer.status_code == 400


def test_select_leaves_only_what_was_asked(server: Server) -> None:
    answer = server.get(MESSAGES, limit=2, select="subject,date").json()
    assert [message.keys() for message in answer["data"]] == [{"subject", "date"}] * 2
    one = server.get(f"{MESSAGES}", limit=1).json()["data"][0]
    assert "headers" not in one
    assert "body" in one  # the careless client gets what it did not need
    path = f"{MESSAGES}/{one['id']}"
    assert server.get(path, select="id").json()["data"] == {"id": one["id"]}


def test_fields_decide_the_headers(server: Server) -> None:
    full = server.get(MESSAGES, limit=1, fields="include_headers").json()["data"][0]["headers"]
    assert {"From", "Subject", "Date"} <= {header["name"] for header in full}
    listed = server.get(MESSAGES, limit=200, fields="include_basic_headers").json()["data"]
    names = {header["name"].casefold() for message in listed for header in message["headers"]}
    assert names == {"message-id", "in-reply-to", "references"}
    raw = server.get(MESSAGES, limit=1, fields="raw_mime").json()["data"][0]
    assert raw.keys() == {"grant_id", "object", "id", "raw_mime"}


def test_raw_mime_can_be_parsed(server: Server) -> None:
    plain = server.all_messages(SAM, select="id,subject,from")
    foreign = next(m for m in plain if not m["from"][0]["name"].isascii())
    path = f"/v3/grants/{SAM}/messages/{foreign['id']}"
    raw = server.get(path, fields="raw_mime").json()["data"]["raw_mime"]
    parsed = email.message_from_bytes(base64.urlsafe_b64decode(raw), policy=email.policy.default)
    assert parsed["subject"] == foreign["subject"]
    (sender,) = parsed["from"].addresses
    assert (sender.display_name, sender.addr_spec) == (
        foreign["from"][0]["name"],
        foreign["from"][0]["email"],
    )
