"""The real SDK drives every endpoint; the last test says which one was left out."""

from __future__ import annotations

import ast
import inspect
import io
import os
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from nylas import Client
from nylas.models.errors import NylasApiError, NylasOAuthError
from starlette.routing import Route

from sandbox import auth, calendars, folders, grants, messages, outgoing, threads, webhooks
from tests.sandbox.conftest import ANCHOR, KEY, LENA, MIA, SAM, Receiver, Server

CALLBACK = "http://localhost:8000/callback"
CLIENT_ID = "sandbox-client"


@pytest.fixture(scope="module")
def contract() -> Iterator[Server]:
    running = Server("--anchor", ANCHOR)
    yield running
    running.stop()


@pytest.fixture
def client(contract: Server) -> Client:
    return contract.client


@pytest.fixture(params=[SAM, LENA], ids=["microsoft", "google"])
def mailbox(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def consent(url: str, email: str, decision: str = "allow") -> dict[str, str]:
    """What the browser does on the consent page; returns the callback's query."""
    assert "Choose an account" in requests.get(url, timeout=10).text
    form = {"email": email, "decision": decision}
    answer = requests.post(url, data=form, allow_redirects=False, timeout=10)
    assert answer.status_code == 302, answer.text
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    return {name: values[0] for name, values in query.items()}


def test_hosted_authentication(client: Client) -> None:
    config = {
        "client_id": CLIENT_ID,
        "redirect_uri": CALLBACK,
        "provider": "google",
        "access_type": "offline",
        "login_hint": MIA,
        "state": "abc",
    }
    answer = consent(client.auth.url_for_oauth2(config), MIA)
    assert answer["state"] == "abc"
    exchange = {"client_id": CLIENT_ID, "redirect_uri": CALLBACK, "code": answer["code"]}
    tokens = client.auth.exchange_code_for_token(exchange)
    assert (tokens.email, tokens.provider, tokens.token_type) == (MIA, "google", "Bearer")
    assert tokens.expires_in == 3600
    assert client.grants.find(tokens.grant_id).data.email == MIA

    again = {
        "client_id": CLIENT_ID,
        "redirect_uri": CALLBACK,
        "refresh_token": tokens.refresh_token,
    }
    refreshed = client.auth.refresh_access_token(again)
    info = client.auth.validate_access_token(refreshed.access_token).data
    assert (info.email, info.sub) == (MIA, tokens.grant_id)
    assert client.auth.id_token_info(tokens.id_token).data.email == MIA
    mine = Client(refreshed.access_token, client.http_client.api_server)
    assert mine.messages.list("me", query_params={"limit": 1}).data

    assert client.auth.revoke(refreshed.access_token)
    with pytest.raises(NylasOAuthError):
        client.auth.revoke(refreshed.access_token)
    assert client.grants.find(tokens.grant_id).data.grant_status == "valid"


def test_authentication_with_pkce(client: Client) -> None:
    config = {"client_id": CLIENT_ID, "redirect_uri": CALLBACK, "provider": "microsoft"}
    pkce = client.auth.url_for_oauth2_pkce(config)
    code = consent(pkce.url, SAM)["code"]
    exchange = {"client_id": CLIENT_ID, "redirect_uri": CALLBACK, "code": code}
    with pytest.raises(NylasOAuthError, match="code_verifier"):
        client.auth.exchange_code_for_token({**exchange, "code_verifier": "wrong"})
    exchange["code"] = consent(pkce.url, SAM)["code"]
    tokens = client.auth.exchange_code_for_token({**exchange, "code_verifier": pkce.secret})
    assert tokens.email == SAM


def test_detect_provider(client: Client) -> None:
    found = client.auth.detect_provider({"email": SAM, "all_provider_types": True}).data
    assert (found.detected, found.provider) == (True, "microsoft")
    assert client.auth.detect_provider({"email": "x@y.example"}).data.detected is False


def test_grants(client: Client, contract: Server) -> None:
    everything = client.grants.list(query_params={"limit": 200}).data
    assert {SAM, LENA} <= {grant.email for grant in everything}
    first = client.grants.list(query_params={"limit": 1, "offset": 0}).data
    second = client.grants.list(query_params={"limit": 1, "offset": 1, "sortBy": "created_at"}).data
    assert first[0].id != second[0].id
    assert contract.get("/v3/grants", limit=1).json().keys() == {
        "request_id",
        "data",
        "limit",
        "offset",
    }
    grant = client.grants.list(query_params={"email": LENA}).data[0]
    assert client.grants.find(grant.id).data.provider == "google"
    changed = client.grants.update(grant.id, {"settings": {"note": "x"}})
    assert changed.data.settings == {"note": "x"}
    answer = contract.request("PUT", f"/v3/grants/{grant.id}", json={"settings": {}})
    assert answer.json()["data"]["settings"] == {}


def test_application(client: Client) -> None:
    assert client.applications.info().data.application_id == CLIENT_ID


def test_folders(client: Client, mailbox: str) -> None:
    found = client.folders.list(mailbox).data
    # The SDK decodes the list of attributes to the text of a list.
    attributes = {a for folder in found for a in ast.literal_eval(folder.attributes or "[]")}
    assert {"\\Inbox", "\\Sent", "\\Drafts", "\\Junk", "\\Trash"} <= attributes
    inbox = client.folders.find(mailbox, found[0].id).data
    assert inbox.total_count
    assert inbox.total_count > 100
    assert inbox.unread_count
    assert inbox.unread_count < inbox.total_count
    made = client.folders.create(mailbox, {"name": f"Project {mailbox}"}).data
    renamed = client.folders.update(mailbox, made.id, {"name": f"Old {mailbox}"}).data
    assert (renamed.id, renamed.name) == (made.id, f"Old {mailbox}")
    client.folders.destroy(mailbox, made.id)
    with pytest.raises(NylasApiError) as error:
        client.folders.find(mailbox, made.id)
    assert error.value.status_code == 404


def test_messages(client: Client, mailbox: str) -> None:
    inbox = client.folders.list(mailbox).data[0].id
    page = client.messages.list(
        mailbox,
        query_params={"limit": 20, "in": inbox, "unread": False, "fields": "include_headers"},
    )
    assert len(page.data) == 20
    assert page.next_cursor
    message = page.data[0]
    assert message.object == "message"
    assert message.body
    assert message.snippet is not None
    assert len(message.snippet) <= 100
    assert isinstance(message.from_, list)
    found = client.messages.find(mailbox, message.id).data
    assert (found.id, found.subject, found.headers) == (message.id, message.subject, None)
    raw = client.messages.find(mailbox, message.id, query_params={"fields": "raw_mime"}).data
    assert raw.raw_mime
    assert raw.subject is None
    starred = client.messages.update(mailbox, message.id, {"starred": True, "unread": True}).data
    assert (starred.starred, starred.unread) == (True, True)


def test_delete_moves_to_the_trash(client: Client, contract: Server, mailbox: str) -> None:
    made = contract.deliver(mailbox, "To be deleted")
    client.messages.destroy(mailbox, made["id"])
    trash = contract.folder(mailbox, "trash")
    query = {"in": trash, "subject": "To be deleted"}
    (deleted,) = client.messages.list(mailbox, query_params=query).data
    assert deleted.folders == [trash]
    path = f"/v3/grants/{mailbox}/messages/{deleted.id}"
    assert contract.request("DELETE", path, params={"hard_delete": "true"}).status_code == 200
    with pytest.raises(NylasApiError) as error:
        client.messages.find(mailbox, deleted.id)
    assert (error.value.status_code, error.value.type) == (404, "not_found_error")


def test_send_reaches_colleagues_and_the_sent_folder(
    client: Client, contract: Server, mailbox: str
) -> None:
    request: dict[str, Any] = {
        "to": [{"email": SAM}, {"email": LENA}, {"email": "j.ruiz@harbor.example"}],
        "bcc": [{"email": "k.lee@harbor.example"}],
        "subject": f"Grüße from {mailbox} €",
        "body": "<p>Hello</p>",
        "attachments": [
            {"filename": "a.txt", "content_type": "text/plain", "content": "aGVsbG8=", "size": 5}
        ],
    }
    sent = client.messages.send(mailbox, request).data
    assert contract.folder(mailbox, "sent") in (sent.folders or [])
    assert sent.attachments
    assert sent.attachments[0].size == 5
    for other in (SAM, LENA):
        query = {"subject": request["subject"], "in": contract.folder(other, "inbox")}
        (copy,) = client.messages.list(other, query_params=query).data
        assert not copy.bcc or other == mailbox


def test_send_again_with_the_same_key_sends_once(client: Client, mailbox: str) -> None:
    request = {"to": [{"email": "a@b.example"}], "subject": f"Once {mailbox}", "body": "x"}
    overrides = {"headers": {"Idempotency-Key": f"key {mailbox}"}}
    first = client.messages.send(mailbox, request, overrides=overrides)
    second = client.messages.send(mailbox, request, overrides=overrides)
    assert first.data.id == second.data.id
    assert second.headers is not None
    assert second.headers["Idempotent-Response"] == "true"
    query = {"subject": request["subject"]}
    assert len(client.messages.list(mailbox, query_params=query).data) == 1
    with pytest.raises(NylasApiError) as error:
        client.messages.send(mailbox, {**request, "subject": "Other"}, overrides=overrides)
    assert (error.value.status_code, error.value.type) == (409, "api.invalid_idempotent_request")


def test_reply_joins_the_thread(client: Client, contract: Server, mailbox: str) -> None:
    made = contract.deliver(mailbox, f"Question {mailbox}")
    request = {
        "to": [{"email": "j.ruiz@harbor.example"}],
        "subject": f"Re: Question {mailbox}",
        "body": "Yes",
        "reply_to_message_id": made["id"],
    }
    reply = client.messages.send(mailbox, request).data
    assert reply.thread_id == made["thread_id"]
    thread = client.threads.find(mailbox, made["thread_id"]).data
    assert thread.message_ids == [reply.id, made["id"]] or len(thread.message_ids) == 2
    query = {"fields": "include_basic_headers"}
    headers = client.messages.find(mailbox, reply.id, query_params=query).data.headers or []
    values = {header.name: header.value for header in headers}
    assert values["In-Reply-To"] == made["message_id"]


def test_large_and_raw_messages(client: Client, mailbox: str) -> None:
    large = {
        "filename": "big.bin",
        "content_type": "application/octet-stream",
        "content": io.BytesIO(b"x" * 3 * 1024 * 1024),
        "size": 3 * 1024 * 1024,
    }
    request = {"to": [{"email": "a@b.example"}], "subject": "Big €", "attachments": [large]}
    sent = client.messages.send(mailbox, request).data
    assert sent.subject == "Big €"
    assert sent.attachments
    assert sent.attachments[0].size == 3 * 1024 * 1024
    mime = (
        f"From: {mailbox}\r\nTo: a@b.example\r\nSubject: Raw\r\n"
        "Message-ID: <raw@b.example>\r\n\r\nText\r\n"
    )
    raw = client.messages.send_raw_mime(mailbox, {"mime": mime}).data
    assert raw.subject == "Raw"


def test_threads(client: Client, mailbox: str) -> None:
    page = client.threads.list(mailbox, query_params={"limit": 50})
    assert len(page.data) == 50
    assert page.next_cursor
    dates = [thread.latest_draft_or_message.date for thread in page.data]
    assert dates == sorted(dates, reverse=True)
    more = client.threads.list(mailbox, query_params={"limit": 50, "page_token": page.next_cursor})
    ids = [thread.id for thread in (*page.data, *more.data)]
    assert len(set(ids)) == len(ids)
    longest = max(page.data, key=lambda thread: len(thread.message_ids))
    assert len(longest.message_ids) > 1
    listed = client.messages.list(mailbox, query_params={"thread_id": longest.id}).data
    assert [message.id for message in listed] == longest.message_ids
    assert client.threads.update(mailbox, longest.id, {"starred": True}).data.starred
    client.threads.destroy(mailbox, page.data[-1].id)


def test_drafts(client: Client, mailbox: str) -> None:
    assert client.drafts.list(mailbox).data
    made = client.drafts.create(mailbox, {"subject": "A", "to": [{"email": "a@b.example"}]}).data
    assert made.object == "draft"
    changed = client.drafts.update(mailbox, made.id, {"body": "Text"}).data
    assert (changed.subject, changed.body) == ("A", "Text")
    assert client.drafts.find(mailbox, changed.id).data.subject == "A"
    sent = client.drafts.send(mailbox, changed.id).data
    assert sent.subject == "A"
    other = client.drafts.create(mailbox, {"subject": "B"}).data
    client.drafts.destroy(mailbox, other.id)
    with pytest.raises(NylasApiError):
        client.drafts.find(mailbox, other.id)


def test_attachments(client: Client, mailbox: str) -> None:
    query = {"has_attachment": True, "limit": 5}
    message = client.messages.list(mailbox, query_params=query).data[-1]
    assert message.attachments
    (attachment, *_) = message.attachments
    of: Any = {"message_id": message.id}
    found = client.attachments.find(mailbox, attachment.id, query_params=of).data
    assert found.size == attachment.size
    content = client.attachments.download_bytes(mailbox, attachment.id, query_params=of)
    assert len(content) == attachment.size
    stream = client.attachments.download(mailbox, attachment.id, query_params=of)
    assert len(stream.content) == attachment.size


def test_calendars(client: Client, mailbox: str) -> None:
    found = client.calendars.list(mailbox).data
    assert [calendar.is_primary for calendar in found] == [True, False, False]
    assert client.calendars.find(mailbox, "primary").data.id == found[0].id
    made = client.calendars.create(mailbox, {"name": "Extra", "timezone": "Europe/Berlin"}).data
    changed = client.calendars.update(mailbox, made.id, {"name": "Other"}).data
    assert changed.name == "Other"
    client.calendars.destroy(mailbox, made.id)
    assert len(client.calendars.list(mailbox).data) == 3


def test_events(client: Client, mailbox: str) -> None:
    now = int(time.time())
    of: Any = {"calendar_id": "primary", "notify_participants": False}
    request: Any = {
        "title": "Visit",
        "when": {"start_time": now + 3600, "end_time": now + 7200},
        "participants": [{"email": "j.ruiz@harbor.example", "name": "Javier"}],
        "metadata": {"key1": "crm-17"},
    }
    made = client.events.create(mailbox, request, of).data
    assert (made.when.object, made.participants[0].status) == ("timespan", "noreply")
    query: Any = {"calendar_id": "primary", "start": now, "end": now + 86400}
    listed = client.events.list(mailbox, {**query, "title": "visit"}).data
    assert made.id in [event.id for event in listed]
    marked: Any = {"calendar_id": "primary", "metadata_pair": {"key1": "crm-17"}}
    listed = client.events.list(mailbox, marked).data
    assert [event.id for event in listed] == [made.id]
    changed = client.events.update(mailbox, made.id, {"location": "Office"}, of).data
    assert (changed.title, changed.location) == ("Visit", "Office")
    found = client.events.find(mailbox, made.id, {"calendar_id": "primary"}).data
    assert found.ical_uid == made.ical_uid
    client.events.destroy(mailbox, made.id, of)
    listed = client.events.list(mailbox, query).data
    assert made.id not in [event.id for event in listed]


def test_import_and_answer(client: Client, contract: Server, mailbox: str) -> None:
    now = int(time.time())
    imported = client.events.list_import_events(
        mailbox, {"calendar_id": "primary", "start": now - 30 * 86400, "end": now, "limit": 500}
    )
    assert imported.data is not None
    invited = contract.control(
        "event",
        mailbox=mailbox,
        organizer={"name": "Javier Ruiz", "email": "j.ruiz@harbor.example"},
        event={
            "title": "Invitation",
            "when": {"start_time": now, "end_time": now + 60},
            "participants": [{"email": mailbox}, {"email": "j.ruiz@harbor.example"}],
        },
    )
    of: Any = {"calendar_id": "primary"}
    client.events.send_rsvp(mailbox, invited["id"], {"status": "yes"}, of)
    event = client.events.find(mailbox, invited["id"], of).data
    assert [p.status for p in event.participants] == ["yes", "noreply"]


def test_webhooks(client: Client, contract: Server, receiver: Receiver) -> None:
    made = client.webhooks.create(
        {"trigger_types": ["message.created"], "webhook_url": receiver.url, "description": "x"}
    ).data
    assert made.webhook_secret
    assert [hook.id for hook in client.webhooks.list().data] == [made.id]
    assert client.webhooks.find(made.id).data.status == "active"
    changed = client.webhooks.update(made.id, {"trigger_types": ["grant.expired"]}).data
    assert changed.trigger_types == ["grant.expired"]
    rotated = client.webhooks.rotate_secret(made.id).data.webhook_secret
    assert rotated != made.webhook_secret
    answer = contract.request("POST", f"/v3/webhooks/rotate-secret/{made.id}", json={})
    assert answer.json()["data"]["webhook_secret"] not in (rotated, made.webhook_secret)
    assert client.webhooks.ip_addresses().data.ip_addresses
    body = {"trigger_type": "message.created", "webhook_url": receiver.url}
    mock = contract.request("POST", "/v3/webhooks/mock-payload", json=body).json()
    assert mock["data"]["type"] == "message.created"
    test = contract.request("POST", "/v3/webhooks/send-test-event", json=body).json()
    assert test["data"] == "success"
    assert client.webhooks.destroy(made.id).data.status == "success"
    assert client.webhooks.list().data == []


def test_delete_grant(client: Client, contract: Server) -> None:
    grant_id = contract.authorise("yuki.tanaka@northsound.example")
    client.grants.destroy(grant_id)
    with pytest.raises(NylasApiError) as error:
        client.messages.list(grant_id)
    assert (error.value.status_code, error.value.type) == (404, "grant.not_found")
    assert contract.authorise("yuki.tanaka@northsound.example") != grant_id


def test_errors_are_readable_for_the_sdk(contract: Server) -> None:
    with pytest.raises(NylasApiError) as error:
        Client("wrong", contract.url).grants.list()
    assert (error.value.status_code, error.value.type) == (401, "unauthorized")
    assert error.value.request_id
    body: Any = {"client_id": CLIENT_ID, "redirect_uri": CALLBACK, "code": "none"}
    with pytest.raises(NylasOAuthError) as oauth:
        Client(KEY, contract.url).auth.exchange_code_for_token(body)
    assert (oauth.value.error, oauth.value.status_code) == ("invalid_grant", 400)


def drive_everything(server: Server, receiver: Receiver) -> None:
    """All tests above, one after the other, against one server."""
    for name, test in list(globals().items()):
        if not name.startswith("test_") or test is test_every_endpoint_was_driven:
            continue
        wanted = inspect.signature(test).parameters
        given = {"contract": server, "client": server.client, "receiver": receiver}
        for mailbox in (SAM, LENA) if "mailbox" in wanted else (SAM,):
            given["mailbox"] = mailbox
            test(**{parameter: given[parameter] for parameter in wanted})


def test_every_endpoint_was_driven(
    contract: Server, start: Callable[..., Server], receiver: Receiver
) -> None:
    asked = contract
    if "PYTEST_XDIST_WORKER" in os.environ:  # another worker may have had some of the tests
        asked = start("--anchor", ANCHOR)
        drive_everything(asked, receiver)
    counts = asked.get("/sandbox/requests").json()["counts"]
    rooms = (auth, calendars, folders, grants, messages, outgoing, threads, webhooks)
    routes: list[Route] = [route for room in rooms for route in room.ROUTES]
    known = {f"{m} {r.path}" for r in routes for m in (r.methods or set()) - {"HEAD"}}
    assert known - counts.keys() == set()
