"""The Gmail methods as Google's own client calls them; the last test says which was left out."""

from __future__ import annotations

import base64
import inspect
import os
import time
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest
import requests
from googleapiclient.http import BatchHttpRequest
from starlette.routing import Route

from sandbox import gmail, gmail_batch
from tests.sandbox.conftest import ANCHOR, Server
from tests.sandbox.google_client import (
    INTAKE,
    JAVIER,
    bearer,
    decode,
    deliver,
    raw_of,
    refused,
    service_for,
)

# Nothing of the time before: every test has the mailbox as it left it itself.
MARK = "gmail-test"


@pytest.fixture(scope="module")
def google() -> Iterator[Server]:
    running = Server("--anchor", ANCHOR)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def users(google: Server) -> Any:
    return service_for(google)


def listed(users: Any, **params: Any) -> list[str]:
    answer = users.messages().list(userId="me", **params).execute()
    return [message["id"] for message in answer.get("messages", [])]


def history_id(users: Any) -> str:
    return str(users.getProfile(userId="me").execute()["historyId"])


def history(users: Any, start: str, **params: Any) -> dict[str, Any]:
    return dict(users.history().list(userId="me", startHistoryId=start, **params).execute())


# --- messages -------------------------------------------------------------------------------------


def test_a_list_is_newest_first_and_in_pages(google: Server, users: Any) -> None:
    made = [deliver(google, f"Page {n}")["id"] for n in range(5)]
    first = users.messages().list(userId="me", maxResults=2).execute()
    assert [m["id"] for m in first["messages"]] == [made[4], made[3]]
    assert first["messages"][0].keys() == {"id", "threadId"}
    assert first["resultSizeEstimate"]
    # What arrives between two pages moves nothing.
    deliver(google, "In between")
    second = users.messages().list(userId="me", maxResults=2, pageToken=first["nextPageToken"])
    assert [m["id"] for m in second.execute()["messages"]] == [made[2], made[1]]
    everything, request = [], users.messages().list(userId="me", maxResults=3)
    while request is not None:
        answer = request.execute()
        everything += [m["id"] for m in answer["messages"]]
        request = users.messages().list_next(request, answer)
    assert len(everything) == len(set(everything))
    assert set(everything) == {m["id"] for m in google.get("/sandbox/google/truth").json()["data"]}


def test_an_empty_list_has_no_messages(users: Any) -> None:
    answer = users.messages().list(userId="me", q="from:nobody@nowhere.example").execute()
    assert answer == {"resultSizeEstimate": 0}


def test_labels_of_a_list_must_all_match(google: Server, users: Any) -> None:
    both = deliver(google, "Both", labels=["INBOX", "STARRED"])["id"]
    one = deliver(google, "One", labels=["INBOX"])["id"]
    found = listed(users, labelIds=["INBOX", "STARRED"], maxResults=500)
    assert both in found
    assert one not in found


def test_spam_and_trash_are_hidden_unless_asked_for(google: Server, users: Any) -> None:
    spam = deliver(google, "Hidden", labels=["SPAM"])["id"]
    trashed = deliver(google, "Thrown away")["id"]
    google.control("google/delete", id=trashed, trash=True)
    assert not {spam, trashed} & set(listed(users, maxResults=500))
    assert not {spam, trashed} & set(listed(users, maxResults=500, q="-in:spam"))
    assert {spam, trashed} <= set(listed(users, includeSpamTrash=True, maxResults=500))
    assert spam in listed(users, q="in:spam")
    assert trashed in listed(users, labelIds="TRASH")
    assert {spam, trashed} <= set(listed(users, q="in:anywhere", maxResults=500))


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ("subject:zinnober", True),
        ("zinnober", True),
        ("zinn", False),
        ('"zinnober offer"', True),
        ("-zinnober", False),
        ("zinnober -offer", False),
        ("from:sam.cole@northsound.example zinnober", True),
        ("from:lena zinnober", False),
        ("to:j.ruiz@harbor.example zinnober", True),
        # The capture mailbox got it by Bcc: it stands nowhere but in Delivered-To.
        ("to:crm.intake@northsound.example zinnober", False),
        ("deliveredto:crm.intake@northsound.example zinnober", True),
        ("in:inbox zinnober", True),
        ("in:inbox -in:chats zinnober", True),
        ("in:trash zinnober", False),
        ("label:inbox zinnober", True),
        ("is:unread zinnober", True),
        ("is:starred zinnober", False),
        ("has:attachment zinnober", True),
        ("filename:plan.pdf zinnober", True),
        ("filename:other.pdf zinnober", False),
        ("rfc822msgid:zinnober-1@northsound.example", True),
        ("rfc822msgid:<zinnober-1@northsound.example>", True),
        ("rfc822msgid:zinnober-2@northsound.example", False),
        ("after:1767225600 zinnober", True),
        ("before:1767225600 zinnober", False),
        ("after:2026/01/01 before:2026/01/04 zinnober", True),
        ("after:2026/01/03 zinnober", False),
        ("newer_than:1d zinnober", False),
        ("older_than:1d zinnober", True),
        ("{zinnober nothing}", True),
        ("nothing OR zinnober", True),
        ("(zinnober) (offer)", True),
        # An operator that Gmail does not know is a word that is not there.
        ("colour:red zinnober", False),
    ],
)
def test_a_query(google: Server, users: Any, query: str, is_found: bool) -> None:
    known = google.get("/sandbox/google/truth").json()["data"]
    if not any(m["message_id"] == "<zinnober-1@northsound.example>" for m in known):
        deliver(
            google,
            "Zinnober offer",
            to=[JAVIER],
            message_id="<zinnober-1@northsound.example>",
            at=1_767_312_000,  # 2 January 2026
            attachments=[{"filename": "Plan.pdf", "size": 10}],
        )
    subjects = []
    for message_id in listed(users, q=query, maxResults=500):
        got = users.messages().get(userId="me", id=message_id, format="metadata").execute()
        subjects += [h["value"] for h in got["payload"]["headers"] if h["name"] == "Subject"]
    assert ("Zinnober offer" in subjects) is is_found


def test_after_leaves_its_own_second_out(google: Server, users: Any) -> None:
    made = deliver(google, "On the second", at=1_767_400_000)["id"]
    assert made in listed(users, q="after:1767399999 before:1767400001")
    assert made not in listed(users, q="after:1767400000", maxResults=500)
    assert made not in listed(users, q="before:1767400000", maxResults=500)


def test_raw_is_what_arrived(google: Server, users: Any) -> None:
    sent = b"From: a@b.example\r\nSubject: =?utf-8?q?=C3=BC?=\r\n\r\n\xff\xfe odd bytes\r\n"
    text = base64.b64encode(sent).decode()
    made = google.control("google/deliver", raw_base64=text, authentication="as-is")
    assert raw_of(users, made["id"]) == sent
    made = google.control("google/deliver", raw_base64=text)
    assert raw_of(users, made["id"]).endswith(sent)


def test_a_received_copy_bears_googles_headers_and_no_bcc(google: Server, users: Any) -> None:
    raw = (
        "From: Sam <sam.cole@northsound.example>\nTo: j.ruiz@harbor.example\n"
        "BCC: crm.intake@northsound.example,\n  boss@northsound.example\nSubject: x\n\nBcc: no\n"
    )
    made = google.control("google/deliver", raw=raw)
    got = raw_of(users, made["id"])
    parsed = message_from_bytes(got, policy=default)
    assert parsed["Bcc"] is None
    assert b"boss@" not in got
    assert parsed.get_content().strip() == "Bcc: no"
    assert (parsed["Delivered-To"], parsed["Return-Path"]) == (
        INTAKE,
        "<sam.cole@northsound.example>",
    )
    verdict = " ".join(parsed["Authentication-Results"].split())
    assert verdict.startswith("mx.google.com; dkim=pass header.i=@northsound.example")
    assert len(parsed.get_all("Received")) == 2
    names = [name.casefold() for name in parsed]
    assert names.index("authentication-results") < names.index("from")
    assert b"\n" not in got.replace(b"\r\n", b"")


def test_the_formats(google: Server, users: Any) -> None:
    made = deliver(
        google,
        "Grüße",
        html="<p>Some <b>HTML</b></p>",
        attachments=[
            {"filename": "plän.pdf", "content_type": "application/pdf", "content": "AAEC"},
        ],
    )
    get = users.messages().get
    minimal = get(userId="me", id=made["id"], format="minimal").execute()
    assert minimal.keys() == {
        "id", "threadId", "labelIds", "snippet", "historyId", "internalDate", "sizeEstimate",
    }  # fmt: skip
    assert minimal["snippet"] == "Some text."
    assert isinstance(minimal["historyId"], str)
    assert abs(int(minimal["internalDate"]) / 1000 - time.time()) < 60
    raw = get(userId="me", id=made["id"], format="raw").execute()
    assert raw.keys() == minimal.keys() | {"raw"}
    metadata = get(
        userId="me", id=made["id"], format="metadata", metadataHeaders=["from", "Message-ID"]
    ).execute()
    assert {h["name"] for h in metadata["payload"]["headers"]} == {"From", "Message-ID"}
    assert "parts" not in metadata["payload"]
    full = get(userId="me", id=made["id"]).execute()["payload"]
    assert full["mimeType"] == "multipart/mixed"
    assert {h["name"]: h["value"] for h in full["headers"]}["Subject"] == "Grüße"
    alternative, attached = full["parts"]
    assert [part["partId"] for part in alternative["parts"]] == ["0.0", "0.1"]
    assert decode(alternative["parts"][1]["body"]["data"]).strip() == b"<p>Some <b>HTML</b></p>"
    assert attached["filename"] == "plän.pdf"
    assert attached["body"].keys() == {"attachmentId", "size"}
    got = (
        users.messages()
        .attachments()
        .get(userId="me", messageId=made["id"], id=attached["body"]["attachmentId"])
        .execute()
    )
    assert (decode(got["data"]), got["size"]) == (b"\x00\x01\x02", 3)


def test_an_enclosed_message_can_be_fetched(google: Server, users: Any) -> None:
    for client in ("gmail", "outlook"):  # one of them encodes it in base64
        made = google.control(
            "google/forward", mailbox="sam.cole@northsound.example", client=client,
            as_attachment=True,
        )  # fmt: skip
        full = users.messages().get(userId="me", id=made["received"]["id"]).execute()["payload"]
        [part] = [p for p in full["parts"] if p["mimeType"] == "message/rfc822"]
        assert part["filename"].endswith(".eml")
        inner = {h["name"]: h["value"] for h in part["parts"][0]["headers"]}
        assert inner["Message-ID"] == made["original"]["message_id"]
        attachments = users.messages().attachments()
        got = attachments.get(
            userId="me", messageId=made["received"]["id"], id=part["body"]["attachmentId"]
        ).execute()
        parsed = message_from_bytes(decode(got["data"]))
        assert parsed["Message-ID"] == made["original"]["message_id"]


def test_an_answer_joins_its_thread(google: Server, users: Any) -> None:
    first = deliver(google, "Thread", message_id="<thread-1@northsound.example>")
    reply = deliver(google, "Re: Thread", headers={"In-Reply-To": "<thread-1@northsound.example>"})
    other = deliver(google, "Thread")
    assert reply["thread_id"] == first["thread_id"] != other["thread_id"]


def test_modify(google: Server, users: Any) -> None:
    made = deliver(google)["id"]
    label = users.labels().create(userId="me", body={"name": f"{MARK}/done"}).execute()["id"]
    body = {"addLabelIds": [label], "removeLabelIds": ["UNREAD"]}
    changed = users.messages().modify(userId="me", id=made, body=body).execute()
    assert label in changed["labelIds"]
    assert "UNREAD" not in changed["labelIds"]
    assert listed(users, q=f"label:{MARK}-done") == [made]
    again = users.messages().modify(userId="me", id=made, body=body).execute()
    assert again["labelIds"] == changed["labelIds"]


def test_batch_modify(google: Server, users: Any) -> None:
    made = [deliver(google)["id"] for _ in range(3)]
    body = {"ids": [*made, "dead"], "addLabelIds": ["STARRED"]}
    assert users.messages().batchModify(userId="me", body=body).execute() == ""
    for message_id in made:
        got = users.messages().get(userId="me", id=message_id, format="minimal").execute()
        assert "STARRED" in got["labelIds"]
    body["ids"] = ["1"] * 1_000
    assert users.messages().batchModify(userId="me", body=body).execute() == ""
    with refused(400, "invalidArgument"):
        body["ids"] = ["1"] * 1_001
        users.messages().batchModify(userId="me", body=body).execute()


# --- labels ---------------------------------------------------------------------------------------


def test_labels(google: Server, users: Any) -> None:
    made = users.labels().create(userId="me", body={"name": f"{MARK}-label"}).execute()
    assert made["id"].startswith("Label_")
    found = users.labels().list(userId="me").execute()["labels"]
    assert {label["id"] for label in found} >= {"INBOX", "UNREAD", made["id"]}
    message = deliver(google)["id"]
    body = {"addLabelIds": [made["id"]]}
    users.messages().modify(userId="me", id=message, body=body).execute()
    got = users.labels().get(userId="me", id=made["id"]).execute()
    assert (got["name"], got["type"]) == (f"{MARK}-label", "user")
    assert (got["messagesTotal"], got["messagesUnread"], got["threadsTotal"]) == (1, 1, 1)
    with refused(409, "aborted"):
        users.labels().create(userId="me", body={"name": f"{MARK}-LABEL"}).execute()
    for name in ("", "inbox", "x" * 226):
        with refused(400, "invalidArgument"):
            users.labels().create(userId="me", body={"name": name}).execute()
    with refused(404, "notFound"):
        users.labels().get(userId="me", id="Label_0").execute()


# --- history --------------------------------------------------------------------------------------


def test_history_tells_what_happened_in_order(google: Server, users: Any) -> None:
    start = history_id(users)
    first, second = deliver(google)["id"], deliver(google)["id"]
    body = {"addLabelIds": ["STARRED"], "removeLabelIds": ["UNREAD"]}
    users.messages().modify(userId="me", id=first, body=body).execute()
    google.control("google/delete", id=second)
    answer = history(users, start)
    kinds = [next(k for k in entry if k not in ("id", "messages")) for entry in answer["history"]]
    assert kinds == [
        "messagesAdded", "messagesAdded", "labelsAdded", "labelsRemoved", "messagesDeleted",
    ]  # fmt: skip
    ids = [int(entry["id"]) for entry in answer["history"]]
    assert ids == sorted(set(ids))
    assert int(start) < ids[0]
    assert answer["historyId"] == str(ids[-1]) == history_id(users)
    added, _, starred, _, deleted = answer["history"]
    assert added["messages"][0] == {"id": first, "threadId": first}
    assert added["messagesAdded"][0]["message"]["labelIds"]
    assert starred["labelsAdded"][0]["labelIds"] == ["STARRED"]
    assert deleted["messages"][0]["id"] == second
    # Deleted meanwhile: the history still speaks of its arrival.
    with refused(404, "notFound"):
        users.messages().get(userId="me", id=second).execute()
    got = users.messages().get(userId="me", id=first, format="minimal").execute()
    assert int(got["historyId"]) == ids[3]


def test_a_quiet_history_has_no_history(users: Any) -> None:
    start = history_id(users)
    assert history(users, start) == {"historyId": start}


def test_history_by_kind_and_label(google: Server, users: Any) -> None:
    start = history_id(users)
    inbox = deliver(google)["id"]
    spam = deliver(google, labels=["SPAM"])["id"]
    users.messages().modify(userId="me", id=inbox, body={"addLabelIds": ["STARRED"]}).execute()

    def ids(**params: Any) -> list[str]:
        return [e["messages"][0]["id"] for e in history(users, start, **params).get("history", [])]

    assert ids(historyTypes=["messageAdded"]) == [inbox, spam]
    assert ids(historyTypes=["messageAdded"], labelId="INBOX") == [inbox]
    assert ids(historyTypes=["messageAdded", "labelAdded"], labelId="INBOX") == [inbox, inbox]
    assert ids(historyTypes=["messageDeleted"]) == []


def test_history_in_pages(google: Server, users: Any) -> None:
    start = history_id(users)
    made = [deliver(google)["id"] for _ in range(5)]
    first = history(users, start, maxResults=2)
    assert first["historyId"] == history_id(users)
    seen, answer = [entry["messages"][0]["id"] for entry in first["history"]], first
    while token := answer.get("nextPageToken"):
        answer = history(users, start, maxResults=2, pageToken=token)
        seen += [entry["messages"][0]["id"] for entry in answer["history"]]
    assert seen == made


def test_history_that_is_too_old(google: Server, users: Any) -> None:
    newest = deliver(google)["history_id"]
    current = history_id(users)
    google.control("google/expire-history")
    for start in (newest, current, "1"):
        with refused(404, "notFound"):
            history(users, start)
    fresh = history_id(users)
    assert int(fresh) > int(current)
    made = deliver(google)["id"]
    assert [e["messages"][0]["id"] for e in history(users, fresh)["history"]] == [made]
    with refused(404, "notFound"):
        history(users, str(int(history_id(users)) + 1))


def test_a_message_knows_when_it_last_changed(google: Server, users: Any) -> None:
    made = deliver(google)
    assert made["history_id"] == history_id(users)
    users.messages().modify(userId="me", id=made["id"], body={"addLabelIds": ["STARRED"]}).execute()
    got = users.messages().get(userId="me", id=made["id"], format="minimal").execute()
    assert got["historyId"] == history_id(users) > made["history_id"]


# --- the transport --------------------------------------------------------------------------------


def test_a_query_too_long_for_an_address_comes_as_a_post(google: Server, users: Any) -> None:
    made = deliver(google, "Long query")["id"]
    query = "subject:long " + " ".join(f"-from:nobody{n}@nowhere.example" for n in range(100))
    assert len(query) > 2048
    assert made in listed(users, q=query)


def test_a_batch_is_answered_part_by_part(google: Server, users: Any) -> None:
    made = [deliver(google)["id"] for _ in range(2)]
    answers: dict[str, Any] = {}

    def keep(request_id: str, answer: Any, error: Any) -> None:
        answers[request_id] = error.status_code if error else answer

    batch = BatchHttpRequest(keep, batch_uri=f"{google.url}/batch")
    for message_id in (*made, "dead"):
        get = users.messages().get(userId="me", id=message_id, format="minimal")
        batch.add(get, request_id=message_id)
    modify = users.messages().modify(userId="me", id=made[0], body={"addLabelIds": ["STARRED"]})
    batch.add(modify, request_id="modify")
    batch.execute()
    assert [answers[m]["id"] for m in made] == made
    assert answers["dead"] == 404
    assert "STARRED" in answers["modify"]["labelIds"]


def test_a_batch_of_a_hundred_and_no_more(google: Server, users: Any) -> None:
    made = deliver(google)["id"]
    for count, is_fine in ((100, True), (101, False)):
        seen: list[Any] = []
        batch = BatchHttpRequest(
            lambda _, answer, error, seen=seen: seen.append(answer),
            batch_uri=f"{google.url}/batch",
        )
        for _ in range(count):
            batch.add(users.messages().get(userId="me", id=made, format="minimal"))
        if is_fine:
            batch.execute()
            assert [answer["id"] for answer in seen] == [made] * count
        else:
            with refused(400, "invalidArgument"):
                batch.execute()


def test_the_key_of_a_batch_counts_for_its_parts(google: Server) -> None:
    part = "Content-Type: application/http\r\nContent-ID: <1>\r\n\r\nGET /gmail/v1/users/me/profile"
    body = f"--b\r\n{part} HTTP/1.1\r\n\r\n--b--\r\n"
    kind = {"Content-Type": "multipart/mixed; boundary=b"}
    url = f"{google.url}/batch/gmail/v1"
    answer = requests.post(url, body, headers={**bearer(google), **kind}, timeout=10)
    assert "HTTP/1.1 200 OK" in answer.text
    assert "Content-ID: <response-1>" in answer.text
    answer = requests.post(url, body, headers=kind, timeout=10)
    assert (answer.status_code, "HTTP/1.1 401" in answer.text) == (200, True)
    answer = requests.post(url, "{}", headers={"Content-Type": "application/json"}, timeout=10)
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("id", {"id"}),
        ("id,historyId", {"id", "historyId"}),
        ("payload(headers/name,mimeType)", {"payload"}),
        ("*", {"id", "threadId", "labelIds", "snippet", "historyId", "internalDate",
               "sizeEstimate", "payload"}),
    ],
)  # fmt: skip
def test_a_partial_answer(google: Server, users: Any, fields: str, expected: set[str]) -> None:
    made = deliver(google)["id"]
    got = users.messages().get(userId="me", id=made, fields=fields).execute()
    assert got.keys() == expected
    if fields.startswith("payload"):
        assert got["payload"].keys() == {"headers", "mimeType"}
        assert all(header.keys() == {"name"} for header in got["payload"]["headers"])


def test_profile(google: Server, users: Any) -> None:
    before = users.getProfile(userId="me").execute()
    assert before.keys() == {"emailAddress", "messagesTotal", "threadsTotal", "historyId"}
    deliver(google)
    after = users.getProfile(userId="me").execute()
    assert after["messagesTotal"] == before["messagesTotal"] + 1
    assert int(after["historyId"]) > int(before["historyId"])


def drive_everything(server: Server) -> None:
    """All tests above that need no parameters, one after the other, against one server."""
    given = {"google": server, "users": service_for(server)}
    for name, test in list(globals().items()):
        wanted = inspect.signature(test).parameters if name.startswith("test_") else {}
        if wanted and wanted.keys() <= given.keys() and test is not test_every_method_was_driven:
            test(**{parameter: given[parameter] for parameter in wanted})


def test_every_method_was_driven(google: Server, start: Callable[..., Server]) -> None:
    asked = google
    if "PYTEST_XDIST_WORKER" in os.environ:  # another worker may have had some of the tests
        asked = start("--anchor", ANCHOR)
        drive_everything(asked)
    counts = asked.get("/sandbox/requests").json()["counts"]
    routes: list[Route] = [route for room in (gmail, gmail_batch) for route in room.ROUTES]
    known = {f"{m} {r.path}" for r in routes for m in (r.methods or set()) - {"HEAD"}}
    known.discard("POST /batch/gmail/v1")  # another name of /batch
    assert known - counts.keys() == set()
