"""What Gmail would refuse, the sandbox refuses, in Google's shape; and its faults have it, too."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import requests
from google.auth.exceptions import RefreshError
from googleapiclient.errors import HttpError
from googleapiclient.http import BatchHttpRequest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import gmail_fields, gmail_rendering, gmail_search
from sandbox.faults import template_of
from sandbox.gmail_letters import AUTHENTICATIONS, arrived
from sandbox.gmail_mailbox import GmailMailbox
from sandbox.google_errors import GoogleError
from tests.sandbox.conftest import ANCHOR, Server
from tests.sandbox.google_client import (
    INTAKE,
    METADATA,
    MODIFY,
    READONLY,
    SECOND,
    bearer,
    credentials_for,
    deliver,
    refused,
    service_for,
)

ME = "/gmail/v1/users/me"


@pytest.fixture(scope="module")
def google() -> Iterator[Server]:
    running = Server("--anchor", ANCHOR)
    yield running
    running.stop()


@pytest.fixture
def key(google: Server) -> dict[str, str]:
    return bearer(google)


@pytest.fixture(autouse=True)
def without_faults(google: Server) -> Iterator[None]:
    yield
    google.request("DELETE", "/sandbox/faults")


def assert_refused(answer: requests.Response, status: int, reason: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert error.keys() - {"details"} == {"code", "message", "errors", "status"}
    assert error["code"] == status
    assert error["errors"][0].keys() >= {"message", "domain", "reason"}
    assert error["errors"][0]["reason"] == reason
    return error


# --- queries and bodies ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "query", "word"),
    [
        ("/messages", "surprise=1", "surprise"),
        ("/messages", "max_results=1", "max_results"),
        ("/messages", "maxResults=501", "500"),
        ("/messages", "maxResults=-1", "max_results"),
        ("/messages", "maxResults=many", "max_results"),
        ("/messages", "includeSpamTrash=yes", "include_spam_trash"),
        ("/messages", "includeSpamTrash=True", "include_spam_trash"),
        ("/messages", "labelIds=Nothing", "Nothing"),
        ("/messages", "labelIds=inbox", "inbox"),
        ("/messages", "pageToken=nothing", "pageToken"),
        ("/messages", "pageToken=MQ==", "pageToken"),
        ("/messages", "format=raw", "format"),
        ("/messages", "alt=xml", "alt"),
        ("/messages", "fields=messages(surprise)", "surprise"),
        ("/messages", "fields=messages(id", "messages(id"),
        ("/messages/1?", "format=text", "format"),
        ("/messages/not-hexadecimal", "", "id"),
        ("/history", "", "startHistoryId"),
        ("/history", "startHistoryId=soon", "start_history_id"),
        ("/history", "startHistoryId=-1", "start_history_id"),
        ("/history", "startHistoryId=1&historyTypes=added", "history_types"),
        ("/history", "startHistoryId=490000&q=x", "q"),
        ("/labels", "name=x", "name"),
        ("/profile", "userId=me", "userId"),
    ],
)
def test_a_wrong_query(
    google: Server, key: dict[str, str], path: str, query: str, word: str
) -> None:
    url = f"{google.url}{ME}{path.rstrip('?')}?{query}"
    answer = requests.get(url, headers=key, timeout=10)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["errors"][0]["reason"] in ("badRequest", "invalidArgument", "invalidParameter")
    assert word in error["message"]


def test_googles_common_parameters_are_taken(google: Server, key: dict[str, str]) -> None:
    query = "alt=json&prettyPrint=false&quotaUser=x&key=y&$.xgafv=2&maxResults=0"
    answer = requests.get(f"{google.url}{ME}/messages?{query}", headers=key, timeout=10)
    assert answer.status_code == 200
    assert len(answer.json()["messages"]) == 15


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/messages/{id}/modify", {}),
        ("/messages/{id}/modify", {"addLabelIds": ["Nothing"]}),
        ("/messages/{id}/modify", {"addLabelIds": ["SENT"]}),
        ("/messages/{id}/modify", {"removeLabelIds": ["DRAFT"]}),
        ("/messages/{id}/modify", {"addLabelIds": ["INBOX"] * 101}),
        ("/messages/{id}/modify", {"addLabelIds": ["STARRED"], "removeLabelIds": ["STARRED"]}),
        ("/messages/{id}/modify", {"addLabelIds": "INBOX"}),
        ("/messages/{id}/modify", {"addLabels": ["INBOX"]}),
        ("/messages/batchModify", {"addLabelIds": ["STARRED"]}),
        ("/messages/batchModify", {"ids": ["{id}"]}),
        ("/labels", {}),
        ("/labels", {"name": 1}),
        ("/labels", {"name": "x", "surprise": 1}),
        ("/labels", {"name": "x", "labelListVisibility": "sometimes"}),
        ("/labels", {"name": "x", "messageListVisibility": "sometimes"}),
    ],
)
def test_a_wrong_body(google: Server, key: dict[str, str], path: str, body: dict[str, Any]) -> None:
    made = deliver(google)
    text = json.dumps(body).replace("{id}", made["id"])
    url = google.url + ME + path.replace("{id}", made["id"])
    headers = {**key, "Content-Type": "application/json"}
    answer = requests.post(url, text, headers=headers, timeout=10)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"
    truth = google.get("/sandbox/google/truth").json()["data"]
    labels = next(m["label_ids"] for m in truth if m["id"] == made["id"])
    assert labels == made["label_ids"]


def test_a_body_that_is_no_json(google: Server, key: dict[str, str]) -> None:
    for content_type, body in (("application/json", "{"), ("text/plain", '{"name": "x"}')):
        headers = {**key, "Content-Type": content_type}
        answer = requests.post(f"{google.url}{ME}/labels", body, headers=headers, timeout=10)
        assert_refused(answer, 400, "badRequest")


def test_an_attachment_of_another_message(google: Server, key: dict[str, str]) -> None:
    attached = {"attachments": [{"filename": "a.bin", "size": 3}]}
    mine, other = deliver(google, **attached), deliver(google, **attached)
    full = requests.get(f"{google.url}{ME}/messages/{mine['id']}", headers=key, timeout=10).json()
    file_id = full["payload"]["parts"][1]["body"]["attachmentId"]
    for message_id, wanted in ((other["id"], file_id), (mine["id"], "ANGjdJ"), (mine["id"], "x")):
        url = f"{google.url}{ME}/messages/{message_id}/attachments/{wanted}"
        assert_refused(requests.get(url, headers=key, timeout=10), 400, "invalidArgument")


# --- who may what ---------------------------------------------------------------------------------


def test_without_a_token_and_with_a_wrong_one(google: Server, key: dict[str, str]) -> None:
    url = f"{google.url}{ME}/profile"
    for headers in ({}, {"Authorization": "Basic abc"}, {"Authorization": "Bearer "}):
        assert_refused(requests.get(url, headers=headers, timeout=10), 401, "required")
    answer = requests.get(url, headers={"Authorization": "Bearer ya29.wrong"}, timeout=10)
    error = assert_refused(answer, 401, "authError")
    assert error["status"] == "UNAUTHENTICATED"
    assert error["errors"][0]["location"] == "Authorization"
    # The key of the other half of the sandbox opens nothing here.
    answer = requests.get(url, headers={"Authorization": "Bearer sandbox-key"}, timeout=10)
    assert_refused(answer, 401, "authError")


def test_a_token_that_has_run_out(google: Server) -> None:
    key = bearer(google)
    url = f"{google.url}{ME}/profile"
    assert requests.get(url, headers=key, timeout=10).status_code == 200
    google.control("google/expire-tokens")
    assert_refused(requests.get(url, headers=key, timeout=10), 401, "authError")


def test_the_lifetime_of_tokens_can_be_set(google: Server) -> None:
    google.control("google/settings", token_lifetime=0)
    key = bearer(google)
    answer = requests.get(f"{google.url}{ME}/profile", headers=key, timeout=10)
    assert_refused(answer, 401, "authError")
    google.control("google/settings", token_lifetime=3_599)


def test_another_account_than_the_tokens(google: Server, key: dict[str, str]) -> None:
    key = bearer(google)
    fine = requests.get(f"{google.url}/gmail/v1/users/{INTAKE}/profile", headers=key, timeout=10)
    assert fine.status_code == 200
    url = f"{google.url}/gmail/v1/users/{SECOND}/profile"
    assert_refused(requests.get(url, headers=key, timeout=10), 403, "forbidden")


@pytest.mark.parametrize(
    ("scope", "is_allowed"),
    [
        (READONLY, {"list", "q", "get", "profile", "history", "labels"}),
        (MODIFY, {"list", "q", "get", "profile", "history", "labels", "modify", "new label"}),
        (METADATA, {"list", "profile", "history", "labels"}),
        ("https://www.googleapis.com/auth/gmail.labels", {"labels", "new label"}),
        ("openid", set[str]()),
    ],
)
def test_scopes(google: Server, scope: str, is_allowed: set[str]) -> None:
    users = service_for(google, credentials_for(google, scopes=[scope]))
    message = deliver(google)["id"]
    start = google.get("/sandbox/google").json()["accounts"][0]["history_id"]
    star = {"addLabelIds": ["STARRED"]}
    calls = {
        "list": users.messages().list(userId="me"),
        "q": users.messages().list(userId="me", q="x"),
        "get": users.messages().get(userId="me", id=message, format="raw"),
        "profile": users.getProfile(userId="me"),
        "history": users.history().list(userId="me", startHistoryId=start),
        "labels": users.labels().list(userId="me"),
        "modify": users.messages().modify(userId="me", id=message, body=star),
        "new label": users.labels().create(userId="me", body={"name": f"for {scope}"}),
    }
    half_open = {"q", "get"} if scope == METADATA else set()
    for name, call in calls.items():
        if name in is_allowed:
            call.execute()
            continue
        with refused(403, "forbidden" if name in half_open else "insufficientPermissions"):
            call.execute()


def test_metadata_of_a_message_for_the_metadata_scope(google: Server) -> None:
    users = service_for(google, credentials_for(google, scopes=[METADATA]))
    message = deliver(google)["id"]
    got = users.messages().get(userId="me", id=message, format="metadata").execute()
    assert got["payload"]["headers"]


@pytest.mark.parametrize("path", ["/gmail/v1/users/me/nothing", "/gmail/v2/x", "/google/nothing"])
def test_an_address_that_no_method_has(google: Server, key: dict[str, str], path: str) -> None:
    answer = requests.get(google.url + path, headers=key, timeout=10)
    assert (answer.status_code, answer.headers["content-type"][:9]) == (404, "text/html")


# --- faults ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "status", "reason"),
    [
        ("rateLimitExceeded", 403, "rateLimitExceeded"),
        ("userRateLimitExceeded", 403, "userRateLimitExceeded"),
        ("dailyLimitExceeded", 403, "dailyLimitExceeded"),
        ("429", 429, "rateLimitExceeded"),
        ("401", 401, "authError"),
        ("403", 403, "domainPolicy"),
        ("404", 404, "notFound"),
        ("500", 500, "backendError"),
        ("503", 503, "backendError"),
    ],
)
def test_faults_have_googles_shape(google: Server, kind: str, status: int, reason: str) -> None:
    key = bearer(google)
    google.fault(kind, path="/messages", times=1)
    url = f"{google.url}{ME}/messages"
    assert_refused(requests.get(url, headers=key, timeout=10), status, reason)
    assert requests.get(url, headers=key, timeout=10).status_code == 200
    last = google.get("/sandbox/requests").json()["last"][-2]
    assert (last["fault"], last["template"]) == (kind, "/gmail/v1/users/{userId}/messages")


def test_the_client_rides_out_a_short_quota_error_when_told_to(google: Server) -> None:
    users = service_for(google)
    google.fault("rateLimitExceeded", path="/gmail/", times=1)
    with refused(403, "rateLimitExceeded"):
        users.messages().list(userId="me").execute()
    google.fault("429", path="/gmail/", times=1, retry_after=9)
    answer = users.messages().list(userId="me").execute(num_retries=1)
    assert answer["messages"]


def test_retry_after(google: Server, key: dict[str, str]) -> None:
    google.fault("429", path="/gmail/", times=1, retry_after=9)
    answer = requests.get(f"{google.url}{ME}/messages", headers=key, timeout=10)
    assert answer.headers["retry-after"] == "9"


def test_html_instead_of_json(google: Server) -> None:
    users = service_for(google)
    google.fault("200-html", path="/gmail/", times=1)
    # The client hands it on as text: nothing raises.
    assert "<html>" in users.messages().list(userId="me").execute()
    google.fault("502-html", path="/gmail/", times=1)
    with pytest.raises(HttpError) as error:
        users.messages().list(userId="me").execute()
    assert error.value.status_code == 502


def test_truncated_and_empty_answers(google: Server, key: dict[str, str]) -> None:
    for kind in ("truncated", "empty-body"):
        google.fault(kind, path="/gmail/", times=1)
        answer = requests.get(f"{google.url}{ME}/messages", headers=key, timeout=10)
        assert answer.status_code == 200
        with pytest.raises(json.JSONDecodeError):
            answer.json()


def test_a_page_token_that_repeats(google: Server, key: dict[str, str]) -> None:
    url = f"{google.url}{ME}/messages"
    first = requests.get(url, {"maxResults": 2}, headers=key, timeout=10).json()
    google.fault("repeat-cursor", path="/gmail/", times=1)
    query = {"maxResults": 2, "pageToken": first["nextPageToken"]}
    second = requests.get(url, query, headers=key, timeout=10).json()
    assert second["nextPageToken"] == first["nextPageToken"]
    assert second["messages"] != first["messages"]


def test_a_request_can_be_carried_out_though_its_answer_is_lost(google: Server) -> None:
    users = service_for(google)
    made = deliver(google)["id"]
    google.fault("503", path="/modify", times=1, after=True)
    with refused(503, "backendError"):
        body = {"addLabelIds": ["STARRED"]}
        users.messages().modify(userId="me", id=made, body=body).execute()
    got = users.messages().get(userId="me", id=made, format="minimal").execute()
    assert "STARRED" in got["labelIds"]


def test_a_fault_for_one_account(google: Server) -> None:
    mine, other = bearer(google), bearer(google, account=SECOND)
    google.fault("503", mailbox=SECOND)
    url = f"{google.url}{ME}/profile"
    assert requests.get(url, headers=mine, timeout=10).status_code == 200
    assert_refused(requests.get(url, headers=other, timeout=10), 503, "backendError")


def test_a_fault_can_meet_one_part_of_a_batch(google: Server) -> None:
    users = service_for(google)
    made = [deliver(google)["id"] for _ in range(2)]
    google.fault("userRateLimitExceeded", path=made[1], times=1)
    seen: list[Any] = []
    batch = BatchHttpRequest(
        lambda _, answer, error: seen.append(error.status_code if error else answer["id"]),
        batch_uri=f"{google.url}/batch",
    )
    for message_id in made:
        batch.add(users.messages().get(userId="me", id=message_id, format="minimal"))
    batch.execute()
    assert seen == [made[0], 403]


@pytest.mark.parametrize(
    ("kind", "is_retryable", "attempts"),
    [("503", True, 3), ("502-html", False, 1), ("401", False, 1)],
)
def test_faults_of_the_token_endpoint(
    google: Server, kind: str, is_retryable: bool, attempts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    credentials = credentials_for(google)
    google.fault(kind, path="/google/token")
    google.request("DELETE", "/sandbox/requests")
    with pytest.raises(RefreshError) as error:
        service_for(google, credentials).getProfile(userId="me").execute()
    assert error.value.retryable is is_retryable
    counts = google.get("/sandbox/requests").json()["counts"]
    assert counts["POST /google/token"] == attempts


def test_quota_faults_leave_nylas_alone(google: Server) -> None:
    google.fault("rateLimitExceeded")
    assert google.get("/v3/grants").status_code == 200


def test_no_code_or_token_gets_into_the_log(google: Server) -> None:
    requests.get(f"{google.url}/google/auth?code_challenge=secret-thing", timeout=10)
    requests.post(f"{google.url}/google/revoke?token=secret-thing", timeout=10)
    assert "secret-thing" not in google.get("/sandbox/requests").text


@pytest.mark.parametrize(
    ("path", "template"),
    [
        (ME + "/messages", "/messages"),
        (ME + "/messages/18c", "/messages/{id}"),
        (ME + "/messages/18c/modify", "/messages/{id}/modify"),
        (ME + "/messages/batchModify", "/messages/batchModify"),
        (ME + "/messages/18c/attachments/x", "/messages/{messageId}/attachments/{id}"),
        (f"/gmail/v1/users/{INTAKE}/labels/Label_1", "/labels/{id}"),
        (ME + "/history", "/history"),
    ],
)
def test_a_request_that_a_fault_kept_away_is_counted_under_its_method(
    path: str, template: str
) -> None:
    assert template_of(path) == "/gmail/v1/users/{userId}" + template


# --- whatever arrives -----------------------------------------------------------------------------


def _mailbox(raw: bytes = b"Subject: x\r\n\r\ntext") -> GmailMailbox:
    mailbox = GmailMailbox(INTAKE, 1, lambda n, at: b"")
    mailbox.add(raw, at=1_773_619_200_000)
    return mailbox


@settings(max_examples=int(os.environ.get("EXAMPLES", "100")), deadline=None)
@given(st.text(max_size=60))
def test_any_query_can_be_read(query: str) -> None:
    mailbox = _mailbox()
    search = gmail_search.read(mailbox, query, 1_773_619_200)
    for message in mailbox.walk():
        assert search.matches(message) in (True, False)


@given(st.text(alphabet="id,()/*messages ü", max_size=40))
def test_any_selection_is_read_or_refused(text: str) -> None:
    answer = {"messages": [{"id": "1"}], "id": "2"}
    with suppress(GoogleError):
        assert gmail_fields.apply(gmail_fields.read(text), answer).keys() <= answer.keys()


_MIME = st.lists(
    st.sampled_from(
        [
            b"From: a@b.example\r\n", b"Subject: =?utf-8?b?!!!?=\r\n", b"Subject: \xff\xfe\r\n",
            b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Type: message/rfc822\r\n",
            b"Content-Type: text/plain; charset=nonsense\r\n", b"Content-Type: ;;;\r\n",
            b"Content-Transfer-Encoding: base64\r\n", b"\r\n", b"\r\n--b\r\n", b"\r\n--b--\r\n",
            b"Bcc: x@y.example\r\n", b"Message-ID: <1@b.example>\r\n", b"\x00", b"AAA=", b"text\n",
            b"Content-Disposition: attachment; filename*=utf-8''%ff\r\n", b"To: undisclosed:;\r\n",
            b'To: "a, <b@c\r\n', b"In-Reply-To: <1@b.example>\r\n",
        ]
    ),
    max_size=12,
).map(b"".join)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=200), _MIME), st.sampled_from(AUTHENTICATIONS))
def test_any_bytes_can_arrive_and_be_shown(raw: bytes, authentication: str) -> None:
    received = arrived(
        raw, account=INTAKE, sender="a@b.example", at=1_773_619_200_000,
        authentication=authentication,
    )  # fmt: skip
    mailbox = _mailbox(received)
    [message] = mailbox.walk()
    assert mailbox.raw(message) == received
    for kind in gmail_rendering.FORMATS:
        written = gmail_rendering.written(mailbox, message, kind, padding=True)
        assert json.dumps(written)
