"""Webhooks: the challenge, the signature, retries, duplicates, order, what is announced when."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.sandbox.conftest import ANCHOR, LENA, MIA, SAM, Receiver, Server

TRIGGERS = [
    "message.created",
    "message.updated",
    "message.deleted",
    "grant.created",
    "grant.updated",
    "grant.deleted",
    "grant.expired",
    "event.created",
    "event.updated",
    "event.deleted",
    "calendar.created",
    "folder.created",
]


@pytest.fixture(scope="module")
def world() -> Iterator[Server]:
    running = Server("--anchor", ANCHOR)
    running.control("webhook-settings", retry_delays=[0.05, 0.05], hold=0.3)
    yield running
    running.stop()


@pytest.fixture
def subscribe(world: Server, receiver: Receiver) -> Iterator[Callable[..., dict[str, Any]]]:
    made: list[str] = []

    def register(*triggers: str, **more: Any) -> dict[str, Any]:
        body = {"webhook_url": receiver.url, "trigger_types": list(triggers or TRIGGERS), **more}
        answer = world.request("POST", "/v3/webhooks", json=body)
        assert answer.status_code == 200, answer.text
        made.append(answer.json()["data"]["id"])
        return dict(answer.json()["data"])

    yield register
    world.request("DELETE", "/sandbox/faults")
    for hook in made:
        world.request("DELETE", f"/v3/webhooks/{hook}")


@pytest.mark.parametrize(
    "answer",
    [
        lambda value: (404, value),
        lambda value: (200, ""),
        lambda value: (200, f'"{value}"'),
        lambda value: (200, value + "\n"),
    ],
)
def test_a_destination_must_return_the_challenge(
    world: Server, receiver: Receiver, answer: Callable[[str], tuple[int, str]]
) -> None:
    receiver.challenge = answer
    body = {"webhook_url": receiver.url, "trigger_types": ["message.created"]}
    response = world.request("POST", "/v3/webhooks", json=body)
    assert (response.status_code, response.json()["error"]["type"]) == (400, "70005")
    assert not world.get("/v3/webhooks").json()["data"]


def test_nobody_listening_fails_the_challenge(world: Server) -> None:
    body = {"webhook_url": "http://127.0.0.1:9/hooks", "trigger_types": ["message.created"]}
    response = world.request("POST", "/v3/webhooks", json=body)
    assert response.json()["error"]["type"] == "70005"


@pytest.mark.parametrize("triggers", [[], ["message.exploded"], ["message.created.truncated"]])
def test_an_unknown_trigger_is_refused(
    world: Server, receiver: Receiver, triggers: list[str]
) -> None:
    body = {"webhook_url": receiver.url, "trigger_types": triggers}
    assert world.request("POST", "/v3/webhooks", json=body).status_code == 400


def test_a_delivery_is_signed(
    world: Server, receiver: Receiver, subscribe: Callable[..., dict[str, Any]]
) -> None:
    hook = subscribe("message.created")
    made = world.deliver(SAM, "Signed – “ünïcode”")
    (notice,) = receiver.wait_for(1)
    headers, body = receiver.received[0]
    expected = hmac.new(hook["webhook_secret"].encode(), body, hashlib.sha256).hexdigest()
    assert headers["x-nylas-signature"] == expected
    assert notice["specversion"] == "1.0"
    assert notice["type"] == "message.created"
    assert notice["source"] == "/microsoft/emails/realtime"
    assert notice["webhook_delivery_attempt"] == 1
    assert notice["data"]["application_id"] == "sandbox-client"
    message = notice["data"]["object"]
    assert (message["id"], message["subject"]) == (made["id"], "Signed – “ünïcode”")
    assert message["body"] == ""
    assert "webhook_secret" not in world.get(f"/v3/webhooks/{hook['id']}").json()["data"]


def test_the_compressed_bytes_are_signed(
    world: Server, receiver: Receiver, subscribe: Callable[..., dict[str, Any]]
) -> None:
    hook = subscribe("message.created", compressed_delivery=True)
    world.deliver(SAM, "Small")
    with receiver._arrived:
        assert receiver._arrived.wait_for(lambda: receiver.received, 10)
    headers, body = receiver.received[0]
    assert headers["content-encoding"] == "gzip"
    expected = hmac.new(hook["webhook_secret"].encode(), body, hashlib.sha256).hexdigest()
    assert headers["x-nylas-signature"] == expected
    assert json.loads(gzip.decompress(body))["data"]["object"]["subject"] == "Small"


@pytest.mark.parametrize(("statuses", "attempts"), [([500, 503], 3), ([429], 2), ([500] * 5, 3)])
def test_a_failed_delivery_is_tried_three_times_at_most(
    world: Server,
    receiver: Receiver,
    subscribe: Callable[..., dict[str, Any]],
    statuses: list[int],
    attempts: int,
) -> None:
    subscribe("message.created")
    receiver.statuses = list(statuses)
    world.deliver(SAM, "Try")
    notices = receiver.wait_for(attempts)
    end = time.monotonic() + 30
    while world.get("/sandbox/deliveries").json()["pending"]:
        assert time.monotonic() < end
    assert len(receiver.received) == attempts
    assert len({notice["id"] for notice in notices}) == 1
    assert [n["webhook_delivery_attempt"] for n in notices] == list(range(1, attempts + 1))


def test_duplicates_have_one_id(
    world: Server, receiver: Receiver, subscribe: Callable[..., dict[str, Any]]
) -> None:
    subscribe("message.created")
    world.fault("duplicate", times=1)
    world.deliver(SAM, "Twice")
    first, second = receiver.wait_for(2)
    assert first == second


def test_reordered_notifications_arrive_the_other_way_round(
    world: Server, receiver: Receiver, subscribe: Callable[..., dict[str, Any]]
) -> None:
    subscribe("message.created")
    world.fault("reorder", times=1)
    world.deliver(SAM, "first")
    world.deliver(SAM, "second")
    subjects = [n["data"]["object"]["subject"] for n in receiver.wait_for(2)]
    assert subjects == ["second", "first"]
    world.fault("reorder", times=1)
    world.deliver(SAM, "alone")  # comes after a while, though nothing follows
    assert receiver.wait_for(3)[2]["data"]["object"]["subject"] == "alone"


def test_a_large_message_is_announced_without_its_body(
    world: Server, receiver: Receiver, subscribe: Callable[..., dict[str, Any]]
) -> None:
    subscribe("message.created")
    world.deliver(SAM, "Large", body="x" * 1_100_000)
    (notice,) = receiver.wait_for(1)
    assert notice["type"] == "message.created.truncated"
    assert "body" not in notice["data"]["object"]


def test_what_happens_to_a_message_is_announced(
    world: Server, receiver: Receiver, subscribe: Callable[..., dict[str, Any]]
) -> None:
    subscribe()
    for mailbox, after_move in (
        (LENA, {"message.updated"}),
        (SAM, {"message.deleted", "message.created"}),
    ):
        receiver.received.clear()
        made = world.deliver(mailbox, "Story")
        moved = world.control("move", mailbox=mailbox, id=made["id"], folder="archive")
        world.control("delete", mailbox=mailbox, id=moved["id"], hard=True)
        count = 2 + len(after_move)
        types = {notice["type"] for notice in receiver.wait_for(count)}
        assert types == {"message.created", *after_move, "message.deleted"}
        deleted = [n for n in receiver.wait_for(count) if n["type"] == "message.deleted"]
        assert all(n["data"]["object"].keys() == {"id", "grant_id", "object"} for n in deleted)


def test_the_life_of_a_grant_is_announced(
    world: Server, receiver: Receiver, subscribe: Callable[..., dict[str, Any]]
) -> None:
    subscribe()
    world.deliver(MIA, "Nobody hears of this")
    grant_id = world.authorise(MIA)
    receiver.wait_for(1)
    world.control("expire", mailbox=MIA)
    receiver.wait_for(2)
    world.deliver(MIA, "While expired")
    world.authorise(MIA)
    receiver.wait_for(4)
    world.request("DELETE", f"/v3/grants/{grant_id}")
    notices = {n["type"]: n for n in receiver.wait_for(5)}
    assert set(notices) == {
        "grant.created", "grant.expired", "grant.updated", "message.created", "grant.deleted",
    }  # fmt: skip
    codes = {name: n["data"]["object"].get("code") for name, n in notices.items()}
    assert codes["grant.created"] == 25012
    assert codes["grant.expired"] == 25009
    assert codes["grant.updated"] == 25027
    assert notices["grant.expired"]["data"]["object"]["grant_id"] == grant_id
    # What arrived during the outage is announced after it.
    assert notices["message.created"]["data"]["object"]["subject"] == "While expired"


def test_events_are_announced_to_every_participant(
    world: Server, receiver: Receiver, subscribe: Callable[..., dict[str, Any]]
) -> None:
    subscribe()
    body = {
        "title": "Together",
        "when": {"start_time": 1_773_700_000, "end_time": 1_773_703_600},
        "participants": [{"email": LENA}],
    }
    path = f"/v3/grants/{SAM}/events"
    made = world.request("POST", path, params={"calendar_id": "primary"}, json=body).json()["data"]
    created = [n["data"]["object"] for n in receiver.wait_for(2)]
    assert len({event["grant_id"] for event in created}) == 2
    assert len({event["ical_uid"] for event in created}) == 1
    world.request("DELETE", f"{path}/{made['id']}", params={"calendar_id": "primary"})
    types = [n["type"] for n in receiver.wait_for(4)][2:]
    assert types == ["event.deleted", "event.deleted"]


def test_a_paused_destination_hears_nothing(
    world: Server, receiver: Receiver, subscribe: Callable[..., dict[str, Any]]
) -> None:
    hook = subscribe("message.created")
    path = f"/v3/webhooks/{hook['id']}"
    world.request("PUT", path, json={"status": "pause"})
    world.deliver(SAM, "Unheard")
    world.request("PUT", path, json={"status": "active"})
    world.deliver(SAM, "Heard")
    assert receiver.wait_for(1)[0]["data"]["object"]["subject"] == "Heard"
