"""Folders, pages and messages over real HTTP, and every way they can fail."""

import multiprocessing
import os
import socket
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crm_sync.providers.errors import (
    ApplicationRejected,
    ItemGone,
    PermanentError,
    ProviderError,
    ReconnectRequired,
    TransientError,
    UnexpectedAnswer,
)
from crm_sync.providers.nylas import NylasGateway, from_settings
from crm_sync.providers.types import AuthorisationGateway, Folder, MailGateway, MessagePage
from tests.providers.scripted_nylas import API_KEY, HTML, failure

MESSAGE = {
    "id": "m1",
    "object": "message",
    "date": 1_700_000_000,
    "subject": "Hello",
    "from": [{"email": "ann.secret@example.com", "name": "Ann"}],
    "headers": [{"name": "Message-ID", "value": "<1@x>"}],
}
PAGE = {"request_id": "r", "data": [MESSAGE]}
GRANT: dict[str, Any] = {
    "request_id": "r",
    "data": {"id": "g1", "provider": "google", "scope": [], "grant_status": "valid"},
}
GRANTS = {"request_id": "r", "data": []}


def page(gateway: MailGateway, **changes: Any) -> MessagePage:
    return gateway.message_page("g1", **{"folder_id": "INBOX", "received_after": None} | changes)


def test_the_gateway_keeps_both_promises(gateway: NylasGateway):
    # For the type checker, which holds the signatures against the protocols.
    mail: MailGateway = gateway
    authorisation: AuthorisationGateway = gateway
    assert callable(mail.folders)
    assert callable(authorisation.grant)


# --- what is asked -------------------------------------------------------------------------------


def test_a_listing_asks_for_headers_and_for_neither_body_nor_snippet(nylas, gateway):
    nylas.answers(PAGE)
    after = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert page(gateway, folder_id="Label 2/ä", received_after=after).messages[0].id == "m1"
    asked = nylas.asked[0]
    assert (asked.method, asked.path) == ("GET", "/v3/grants/g1/messages")
    select = asked.query.pop("select", "")
    assert asked.query == {
        "limit": "200",
        "in": "Label 2/ä",
        "received_after": "1700000000",
        "fields": "include_basic_headers",
        "select": select,
    }
    assert set(select.split(",")) == {
        *("id", "object", "thread_id", "date", "subject", "from", "to", "cc", "bcc", "folders"),
        "headers",
    }
    for unwanted in ("body", "snippet", "attachments", "raw_mime"):
        assert unwanted not in asked.target
    assert asked.headers["Authorization"] == f"Bearer {API_KEY}"


def test_a_text_in_a_listing_nobody_asked_for_is_ignored(nylas, gateway):
    nylas.answers(PAGE | {"data": [MESSAGE | {"body": "top secret", "snippet": "top secret"}]})
    assert "top secret" not in repr(page(gateway))


def test_no_start_means_no_received_after(nylas, gateway):
    nylas.answers(PAGE)
    page(gateway, limit=1000)
    assert "received_after" not in nylas.asked[0].query
    assert nylas.asked[0].query["limit"] == "200"


def test_page_tokens_are_handed_back_as_they_came_quoted_once(nylas, gateway):
    token = "CUR%3D=+/&é#"
    nylas.answers(PAGE | {"next_cursor": token}).answers(PAGE)
    first = page(gateway)
    assert first.next_page == token
    assert page(gateway, page_token=first.next_page).next_page is None
    assert nylas.asked[1].query["page_token"] == token


def test_ids_are_quoted_into_one_piece_of_the_path(nylas, gateway):
    nylas.answers({"data": MESSAGE})
    gateway.message("ann@example.com", "a/b==#?%2F ä")
    assert nylas.asked[0].path == (
        "/v3/grants/ann%40example.com/messages/a%2Fb%3D%3D%23%3F%252F%20%C3%A4"
    )


@pytest.mark.parametrize("id_", ["", ".", ".."])
def test_ids_that_would_ask_another_question_are_not_asked(nylas, gateway, id_: str):
    assert failure(gateway.message, "g1", id_).code == "impossible-id"
    assert nylas.asked == []


def test_a_message_is_asked_for_with_text_but_without_snippet(nylas, gateway):
    nylas.answers({"data": MESSAGE | {"body": "<p>Hi</p>"}})
    message = gateway.message("g1", "m1")
    assert (message.body, message.headers.message_id) == ("<p>Hi</p>", "<1@x>")
    select = nylas.asked[0].query["select"].split(",")
    assert {"body", "attachments", "headers"} <= set(select)
    assert "snippet" not in select
    assert nylas.asked[0].query["fields"] == "include_basic_headers"


def test_a_trailing_slash_of_the_address_is_no_matter(nylas):
    nylas.answers(PAGE)
    page(NylasGateway(api_uri=f"{nylas.url}/", api_key=API_KEY, client_id="c"))
    assert nylas.asked[0].path == "/v3/grants/g1/messages"


# --- folders -------------------------------------------------------------------------------------


def test_folders_are_read_over_all_pages(nylas, gateway):
    inbox = {"id": "1", "name": "Inbox", "attributes": ["\\Inbox"], "total_count": 7}
    sent = {"id": "2", "name": "Gesendet", "attributes": "['\\\\Sent']", "system_folder": "x"}
    own = {"id": "3", "name": None, "attributes": None, "total_count": None}
    nylas.answers({"data": [inbox], "next_cursor": "2"}).answers({"data": [sent, own]})
    assert gateway.folders("g1") == [
        Folder("1", "Inbox", "inbox", 7),
        Folder("2", "Gesendet", "sent"),
        Folder("3", ""),
    ]
    assert [asked.query.get("page_token") for asked in nylas.asked] == [None, "2"]


def test_a_listing_of_folders_that_goes_round_in_circles_fails(nylas, gateway):
    for cursor in ("a", "b", "a"):
        nylas.answers({"data": [], "next_cursor": cursor})
    assert failure(gateway.folders, "g1").code == "repeated-cursor"


def test_a_folder_without_an_id_spoils_the_listing(nylas, gateway):
    nylas.answers({"data": [{"name": "Inbox"}]})
    assert isinstance(failure(gateway.folders, "g1"), UnexpectedAnswer)


# --- failures ------------------------------------------------------------------------------------


def test_a_repeated_cursor_is_not_taken_for_the_end(nylas, gateway):
    nylas.answers(PAGE | {"next_cursor": "same"})
    assert page(gateway, page_token="same").next_page == "same"


@pytest.mark.parametrize("status", [400, 404, 410, 422])
def test_a_refused_page_token_asks_to_begin_the_listing_anew(nylas, gateway, status: int):
    nylas.refuses(status)
    error = failure(page, gateway, page_token="old")
    assert isinstance(error, PermanentError)
    assert (error.code, error.status) == ("page-token-refused", status)
    assert len(nylas.asked) == 1


def test_a_folder_that_is_gone_is_gone_while_the_grant_lives(nylas, gateway):
    nylas.refuses(404).answers(GRANT)
    assert isinstance(failure(page, gateway), ItemGone)
    assert nylas.asked[1].path == "/v3/grants/g1"


@pytest.mark.parametrize("status", [404, 410])
def test_a_message_that_is_gone_is_gone(nylas, gateway, status: int):
    nylas.refuses(status).answers(GRANT)
    error = failure(gateway.message, "g1", "m1")
    assert isinstance(error, ItemGone)
    assert (error.code, error.status) == ("gone", status)


def test_a_404_below_a_grant_that_is_gone_is_about_the_grant(nylas, gateway):
    nylas.refuses(404).refuses(404).refuses(404)
    error = failure(gateway.message, "g1", "m1")
    assert isinstance(error, ReconnectRequired)
    assert error.code == "grant-unknown"


def test_a_grant_that_still_lists_its_folders_is_not_gone_for_one_message(nylas, gateway):
    nylas.refuses(404).refuses(404).answers({"data": []})
    assert isinstance(failure(gateway.message, "g1", "m1"), ItemGone)


@pytest.mark.parametrize("status", [401, 403])
def test_a_rejected_grant_must_be_authorised_again(nylas, gateway, status: int):
    nylas.refuses(status).answers(GRANTS)
    error = failure(page, gateway)
    assert isinstance(error, ReconnectRequired)
    assert (error.code, error.status) == ("grant-rejected", status)
    assert nylas.asked[1].target == "/v3/grants?limit=1"


@pytest.mark.parametrize("body", [b"", b'"text"', b'{"error": "text"}'])
def test_the_body_of_a_401_is_of_no_matter(nylas, gateway, body: bytes):
    nylas.answers(body, status=401).answers(GRANTS)
    assert isinstance(failure(gateway.folders, "g1"), ReconnectRequired)


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_api_key_asks_no_rep_to_authorise_again(nylas, gateway, status: int):
    nylas.refuses(status).refuses(401)
    error = failure(page, gateway)
    assert isinstance(error, ApplicationRejected)
    assert error.code == "application-key-rejected"
    assert "NYLAS_API_KEY" in str(error)


def test_a_grant_that_itself_answers_401_is_told_from_a_wrong_key(nylas, gateway):
    nylas.refuses(404).refuses(401).answers(GRANTS)
    assert isinstance(failure(gateway.message, "g1", "m1"), ReconnectRequired)
    nylas.refuses(404).refuses(401).refuses(401)
    assert isinstance(failure(gateway.message, "g1", "m1"), ApplicationRejected)


def test_a_404_that_cannot_be_confirmed_is_tried_later(nylas, gateway):
    nylas.refuses(404).refuses(503)
    assert isinstance(failure(gateway.message, "g1", "m1"), TransientError)


def test_a_401_that_cannot_be_confirmed_is_tried_later(nylas, gateway):
    nylas.refuses(401).refuses(503)
    assert isinstance(failure(page, gateway), TransientError)


@pytest.mark.parametrize(
    "error",
    [
        {"type": "insufficient_scopes"},
        {"type": "api.insufficient_scopes"},
        {"provider_error": {"message": "Request had insufficient authentication scopes."}},
    ],
)
def test_missing_permissions_have_words_of_their_own(nylas, gateway, error: dict):
    nylas.refuses(403, **error)
    caught = failure(page, gateway)
    assert isinstance(caught, ReconnectRequired)
    assert caught.code == "insufficient-scopes"
    assert "permission" in str(caught)
    assert len(nylas.asked) == 1


def test_a_quota_reported_as_403_costs_nobody_a_grant(nylas, gateway):
    nylas.refuses(403, provider_error={"errors": [{"reason": "userRateLimitExceeded"}]})
    assert failure(page, gateway).code == "rate-limited"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("17", 17),
        ("1.5", 1.5),
        ("0", 0),
        ("999999999", 3600),
        ("inf", 3600),
        ("-5", None),
        ("nan", None),
        ("soon", None),
        ("", None),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 0),
        ("Mon, 01 Jan 9001 00:00:00 GMT", 3600),
        ("Mon, 99 Foo 2001", None),
    ],
)
def test_429_names_when_to_come_back(nylas, gateway, header: str, seconds: float | None):
    nylas.answers(b"", status=429, headers={"Retry-After": header})
    error = failure(page, gateway)
    assert isinstance(error, TransientError)
    assert (error.code, error.status, error.retry_after) == ("rate-limited", 429, seconds)
    assert str(error) == "Nylas asked us to slow down."


def test_429_may_name_a_date(nylas, gateway):
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    nylas.refuses(429, provider_error="text").script[0].headers["Retry-After"] = date
    error = failure(page, gateway)
    assert isinstance(error, TransientError)
    assert error.retry_after == pytest.approx(90, abs=5)


@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504, 599])
@pytest.mark.parametrize("body", [HTML, b"", b'{"error": {"type": "provider_error"}}'])
def test_what_passes_by_itself_is_transient(nylas, gateway, status: int, body: bytes):
    nylas.answers(body, status=status, headers={"Retry-After": "7"})
    error = failure(page, gateway, page_token="p")
    assert isinstance(error, TransientError)
    assert (error.code, error.status, error.retry_after) == ("provider-unavailable", status, 7)


@pytest.mark.parametrize("status", [400, 402, 409, 422])
def test_other_refusals_are_permanent(nylas, gateway, status: int):
    nylas.refuses(status)
    error = failure(page, gateway)
    assert type(error) is PermanentError
    assert (error.code, error.status) == ("request-refused", status)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_refusal_in_html_is_not_by_nylas(nylas, gateway, status: int):
    nylas.answers(b"\n" + HTML, status=status)
    error = failure(gateway.message, "g1", "m1")
    assert isinstance(error, TransientError)
    assert error.code == "not-json"


@pytest.mark.parametrize("body", [HTML, b"", b'{"data": [{"id": "m1"'])
@pytest.mark.parametrize("status", [200, 204])
def test_a_success_that_is_no_json_is_transient(nylas, gateway, body: bytes, status: int):
    nylas.answers(body if status == 200 else b"", status=status)
    error = failure(page, gateway)
    assert isinstance(error, TransientError)
    assert error.code == "not-json"


def test_an_answer_that_breaks_off_is_transient(nylas, gateway):
    nylas.answers(PAGE, missing_bytes=100)
    error = failure(page, gateway)
    assert isinstance(error, TransientError)
    assert error.code == "unreachable"


def test_an_answer_that_cannot_be_unpacked_is_transient(nylas, gateway):
    nylas.answers(b"no gzip", headers={"Content-Encoding": "gzip"})
    assert isinstance(failure(page, gateway), TransientError)


def test_json_of_another_shape_is_unexpected(nylas, gateway):
    nylas.answers({"request_id": "r"})
    assert isinstance(failure(page, gateway), UnexpectedAnswer)


def test_one_odd_message_costs_only_itself(nylas, gateway):
    nylas.answers(PAGE | {"data": [MESSAGE, {"id": "odd", "subject": []}, None, {}]})
    found = page(gateway)
    assert [message.id for message in found.messages] == ["m1"]
    assert sorted(item.id for item in found.unreadable) == ["", "", "odd"]


def test_redirects_are_not_followed(nylas, gateway):
    nylas.answers(b"", status=302, headers={"Location": f"{nylas.url}/elsewhere"})
    error = failure(page, gateway)
    assert isinstance(error, UnexpectedAnswer)
    assert error.code == "redirected"
    assert len(nylas.asked) == 1


def test_a_late_answer_is_transient(nylas):
    nylas.answers(PAGE, delay=1)
    hasty = NylasGateway(api_uri=nylas.url, api_key=API_KEY, client_id="c", timeout=(1, 0.05))
    error = failure(page, hasty)
    assert isinstance(error, TransientError)
    assert error.code == "timed-out"


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("api_uri", "kind", "code"),
    [
        ("http://127.0.0.1:CLOSED", TransientError, "unreachable"),
        ("http://nylas.invalid", TransientError, "name-not-resolved"),
        ("http://", UnexpectedAnswer, "wrong-address"),
        ("api.us.nylas.com", UnexpectedAnswer, "wrong-address"),
        ("ftp://api.us.nylas.com", UnexpectedAnswer, "wrong-address"),
        ("http://a..b", UnexpectedAnswer, "wrong-address"),
        ("http://[", UnexpectedAnswer, "wrong-address"),
        ("http://127.0.0.1:99999", UnexpectedAnswer, "wrong-address"),
        (f"http://{'a' * 70}.com", UnexpectedAnswer, "wrong-address"),
        ("http://*.example.com", UnexpectedAnswer, "wrong-address"),
    ],
)
@pytest.mark.parametrize("call", ["check", "grants"])
def test_addresses_without_nylas_say_what_is_wrong(
    api_uri: str, kind: type[ProviderError], code: str, call: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NO_PROXY", "*")
    # A fixed name for the case: the workers of a parallel run must collect the same ones.
    api_uri = api_uri.replace("CLOSED", str(closed_port()))
    gateway = NylasGateway(api_uri=api_uri, api_key=API_KEY, client_id="c", timeout=(2, 2))
    error = failure(gateway.check if call == "check" else lambda: list(gateway.grants()))
    assert (type(error), error.code) == (kind, code)


@pytest.mark.parametrize("api_key", ["", "two words", "a\r\nX: y", "ключ"])
def test_an_impossible_key_is_not_sent(nylas, api_key: str):
    gateway = NylasGateway(api_uri=nylas.url, api_key=api_key, client_id="c")
    assert isinstance(failure(page, gateway), ApplicationRejected)
    assert isinstance(failure(gateway.grant, "g1"), ApplicationRejected)
    assert nylas.asked == []


# --- the connection ------------------------------------------------------------------------------


def test_calls_share_a_connection(nylas, gateway):
    for _ in range(3):
        nylas.answers(PAGE)
        page(gateway)
    assert len({asked.client_port for asked in nylas.asked}) == 1


def test_threads_may_call_at_once(nylas, gateway):
    for _ in range(16):
        nylas.answers(PAGE, delay=0.05)
    found: list[MessagePage] = []
    threads = [threading.Thread(target=lambda: found.append(page(gateway))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_opens_a_connection_of_its_own(nylas, gateway):
    nylas.answers(PAGE).answers(PAGE).answers(PAGE)
    page(gateway)
    child = multiprocessing.get_context("fork").Process(target=page, args=(gateway,))
    child.start()
    child.join(10)
    assert child.exitcode == 0
    page(gateway)
    ours, childs, ours_again = (asked.client_port for asked in nylas.asked)
    assert ours == ours_again != childs


def test_no_cookie_is_kept_for_the_next_mailbox(nylas, gateway):
    nylas.answers(PAGE, headers={"Set-Cookie": "who=g1; Path=/"}).answers(PAGE)
    page(gateway)
    page(gateway)
    assert "Cookie" not in nylas.asked[1].headers


def test_a_netrc_does_not_replace_the_key(
    nylas, gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    nylas.answers(PAGE)
    page(gateway)
    assert nylas.asked[0].headers["Authorization"] == f"Bearer {API_KEY}"


def test_the_gateway_does_not_show_its_key(gateway):
    assert API_KEY not in repr(gateway)


def test_one_gateway_serves_the_whole_process(monkeypatch: pytest.MonkeyPatch):
    settings = SimpleNamespace(
        NYLAS_API_URI="http://127.0.0.1:1", NYLAS_API_KEY="key-1", NYLAS_CLIENT_ID="client-1"
    )
    monkeypatch.setattr("crm_sync.providers.nylas.settings", settings)
    first = from_settings()
    assert from_settings() is first
    settings.NYLAS_API_KEY = "key-2"
    assert from_settings() is not first
