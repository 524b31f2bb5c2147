"""Every fault does what it says, as often as it says, and where it says."""

from __future__ import annotations

import json

import pytest
import requests
from nylas.models.errors import NylasApiError, NylasSdkTimeoutError

from tests.sandbox.conftest import KEY, LENA, SAM, Server

MESSAGES = f"/v3/grants/{LENA}/messages"


def test_429_with_and_without_retry_after(server: Server) -> None:
    server.fault("429", times=1, retry_after=7, path="/messages")
    server.fault("429", times=1)
    first, second, third = (server.get(MESSAGES, limit=1) for _ in range(3))
    assert (first.status_code, first.headers["retry-after"]) == (429, "7")
    assert first.json()["error"]["type"] == "rate_limit_error"
    assert first.json()["error"]["provider_error"]
    assert second.json()["error"]["type"] == "nylas_rate_limit_exceeded"
    assert "retry-after" not in second.headers
    assert third.status_code == 200


@pytest.mark.parametrize("kind", ["500", "401", "403", "404", "410", "503", "504"])
def test_statuses_keep_the_error_shape(server: Server, kind: str) -> None:
    server.fault(kind, times=1)
    with pytest.raises(NylasApiError) as error:
        server.client.messages.list(LENA)
    assert error.value.status_code == int(kind)
    assert server.client.messages.list(LENA, query_params={"limit": 1}).data


def test_502_is_html(server: Server) -> None:
    server.fault("502-html", times=1)
    answer = server.get(MESSAGES)
    assert answer.status_code == 502
    assert answer.headers["content-type"] == "text/html"
    assert answer.text.startswith("<html>")


def test_truncated_is_half_a_json(server: Server) -> None:
    server.fault("truncated", times=1)
    answer = server.get(MESSAGES, limit=5)
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.text)


def test_a_cut_connection_ends_early(server: Server) -> None:
    server.fault("cut-connection", times=1)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        server.get(MESSAGES, limit=5)


def test_empty_body(server: Server) -> None:
    server.fault("empty-body", times=1)
    answer = server.get(MESSAGES)
    assert (answer.status_code, answer.content) == (200, b"")


def test_string_error_confuses_the_sdk(server: Server) -> None:
    server.fault("string-error", times=1)
    with pytest.raises(AttributeError):
        server.client.messages.list(LENA)


def test_timeout(server: Server) -> None:
    server.fault("timeout", times=1, delay=30)
    with pytest.raises(NylasSdkTimeoutError):
        server.client.messages.list(LENA, overrides={"timeout": 0.2})


def test_timeout_answers_in_the_end(server: Server) -> None:
    server.fault("timeout", times=1, delay=0.01)
    answer = server.get(MESSAGES)
    assert (answer.status_code, answer.json()["error"]["type"]) == (504, "provider_error")


def test_slow_is_late_but_right(server: Server) -> None:
    server.fault("slow", times=1, delay=0.15)
    answer = server.get(MESSAGES, limit=1)
    assert answer.status_code == 200
    assert answer.elapsed.total_seconds() >= 0.15


def test_repeated_cursor(server: Server) -> None:
    server.fault("repeat-cursor")
    first = server.get(MESSAGES, limit=5).json()
    second = server.get(MESSAGES, limit=5, page_token=first["next_cursor"]).json()
    assert second["next_cursor"] == first["next_cursor"]
    assert second["data"] != first["data"]


def test_a_fault_may_be_for_one_mailbox_or_path(server: Server) -> None:
    server.fault("500", mailbox=SAM)
    server.fault("503", path=r"/messages/[^/]+$")
    assert server.get(MESSAGES, limit=1).status_code == 200
    assert server.get(f"/v3/grants/{SAM}/messages").status_code == 500
    grant_id = server.get("/v3/grants", email=SAM).json()["data"][0]["id"]
    assert server.get(f"/v3/grants/{grant_id}/folders").status_code == 500
    one = server.get(MESSAGES, limit=1).json()["data"][0]["id"]
    assert server.get(f"{MESSAGES}/{one}").status_code == 503
    listed = server.get("/sandbox/faults").json()["faults"]
    assert [(fault["kind"], fault["used"]) for fault in listed] == [("500", 2), ("503", 1)]
    assert server.request("DELETE", "/sandbox/faults").json()["faults"] == []
    assert server.get(f"/v3/grants/{SAM}/messages").status_code == 200


def test_a_fault_after_the_deed(server: Server) -> None:
    """The worst one for a sender: it was sent, and the answer says otherwise."""
    server.fault("500", path="/send", times=1, after=True)
    headers = {"Authorization": f"Bearer {KEY}", "Idempotency-Key": "after-the-deed"}
    body = {"to": [{"email": "a@b.example"}], "subject": "Sent in spite of it"}
    path = f"{MESSAGES}/send"
    assert server.request("POST", path, json=body, headers=headers).status_code == 500
    again = server.request("POST", path, json=body, headers=headers)
    assert (again.status_code, again.headers["idempotent-response"]) == (200, "true")
    assert len(server.get(MESSAGES, subject=body["subject"]).json()["data"]) == 1


def test_unknown_faults_are_refused(server: Server) -> None:
    for body in ({"kind": "earthquake"}, {"kind": "500", "path": "("}, {"kind": "500", "x": 1}):
        assert server.request("POST", "/sandbox/faults", json=body).status_code == 400


def test_requests_are_counted_by_route(server: Server) -> None:
    server.request("DELETE", "/sandbox/requests")
    server.get(MESSAGES, limit=1)
    server.get(f"{MESSAGES}/x")
    server.fault("500", times=1)
    server.get(f"{MESSAGES}/x")
    answer = server.get("/sandbox/requests").json()
    assert answer["counts"] == {
        "GET /v3/grants/{grant_id}/messages": 1,
        "GET /v3/grants/{grant_id}/messages/{message_id}": 2,
    }
    assert [line["status"] for line in answer["last"]] == [200, 404, 500]
    assert answer["last"][2]["fault"] == "500"
    assert KEY not in json.dumps(answer)
