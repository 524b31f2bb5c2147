"""Connecting and disconnecting a mailbox through the SDK, and every way the SDK can fail."""

import json
import warnings
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from crm_sync.providers.errors import (
    ApplicationRejected,
    PermanentError,
    ReconnectRequired,
    TransientError,
    UnexpectedAnswer,
)
from crm_sync.providers.nylas import NylasGateway
from crm_sync.providers.types import Grant
from tests.providers.scripted_nylas import API_KEY, HTML, failure

REDIRECT = "https://crm.example/mailboxes/authorised/"
GRANT = {
    "id": "g1",
    "provider": "google",
    "email": "rep@crm.example",
    "grant_status": "valid",
    "scope": ["openid"],
    "created_at": 1_700_000_000,
}
TOKEN = {
    "access_token": "secret-token",
    "grant_id": "g1",
    "expires_in": 3600,
    "email": "rep@crm.example",
    "provider": "google",
    "token_type": "Bearer",
    "scope": "openid",
}


def one(**changes: Any) -> dict[str, Any]:
    return {"request_id": "r", "data": GRANT | changes}


# --- the way there -------------------------------------------------------------------------------


def url_of(gateway: NylasGateway, **changes: str) -> dict[str, str]:
    arguments = {
        "provider": "google",
        "redirect_uri": REDIRECT,
        "state": "a+b/c=&d",
        "login_hint": "rep+1@crm.example",
    }
    url = urlsplit(gateway.authorisation_url(**(arguments | changes)))
    assert url.path == "/v3/connect/auth"
    return {name: value for name, (value,) in parse_qs(url.query).items()}


def test_the_rep_is_sent_to_nylas_with_what_was_asked(nylas, gateway):
    assert url_of(gateway) == {
        "client_id": "client-1",
        "redirect_uri": REDIRECT,
        "response_type": "code",
        "provider": "google",
        "state": "a+b/c=&d",
        "login_hint": "rep+1@crm.example",
        "access_type": "online",
    }
    assert nylas.asked == []


def test_blank_values_are_left_out(gateway):
    query = url_of(gateway, provider="", login_hint="")
    assert "provider" not in query
    assert "login_hint" not in query


@pytest.mark.parametrize(
    ("data", "provider"),
    [
        ({"detected": True, "provider": "google"}, "google"),
        ({"detected": True, "provider": "imap", "type": "generic"}, "imap"),
        ({"detected": True, "provider": "zoom"}, None),
        ({"detected": True, "provider": ["google"]}, None),
        ({"detected": True}, None),
        ({"detected": False, "provider": "google"}, None),
    ],
)
def test_detection_names_a_provider_we_know_or_none(nylas, gateway, data: dict, provider):
    nylas.answers({"request_id": "r", "data": {"email_address": "a+1@b.c", **data}})
    assert gateway.detect_provider("a+1@b.c") == provider
    assert (nylas.asked[0].method, nylas.asked[0].path) == ("POST", "/v3/providers/detect")
    assert nylas.asked[0].query["email"] == "a+1@b.c"


def test_detection_that_is_asked_too_often_is_transient(nylas, gateway):
    nylas.refuses(429).script[0].headers["Retry-After"] = "30"
    error = failure(gateway.detect_provider, "ann.secret@example.com")
    assert isinstance(error, TransientError)
    assert error.retry_after == 30


# --- the code ------------------------------------------------------------------------------------


def test_a_code_becomes_a_grant(nylas, gateway):
    nylas.answers(TOKEN)
    assert gateway.exchange_code("code-1", redirect_uri=REDIRECT) == Grant(
        "g1", "rep@crm.example", "google"
    )
    assert nylas.asked[0].path == "/v3/connect/token"
    assert json.loads(nylas.asked[0].body) == {
        "code": "code-1",
        "redirect_uri": REDIRECT,
        "client_id": "client-1",
        "client_secret": API_KEY,
        "grant_type": "authorization_code",
    }


def test_an_address_that_the_exchange_leaves_out_is_asked_for(nylas, gateway):
    nylas.answers({k: v for k, v in TOKEN.items() if k != "email"}).answers(one())
    assert gateway.exchange_code("c", redirect_uri=REDIRECT).email == "rep@crm.example"


@pytest.mark.parametrize("missing", ["access_token", "grant_id", "expires_in"])
def test_an_exchange_without_its_required_keys_is_unexpected(nylas, gateway, missing: str):
    nylas.answers({k: v for k, v in TOKEN.items() if k != missing})
    error = failure(gateway.exchange_code, "c", redirect_uri=REDIRECT)
    assert isinstance(error, UnexpectedAnswer)


@pytest.mark.parametrize("grant_id", [None, ""])
def test_an_exchange_that_names_no_grant_is_unexpected(nylas, gateway, grant_id: object):
    nylas.answers(TOKEN | {"grant_id": grant_id})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        error = failure(gateway.exchange_code, "c", redirect_uri=REDIRECT)
    assert isinstance(error, UnexpectedAnswer)


def oauth_error(word: str, code: object = 100241) -> dict[str, Any]:
    return {
        "error": word,
        "error_code": code,
        "error_description": "ann.secret@example.com used this code",
        "error_uri": "https://example.com",
    }


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, oauth_error("invalid_grant")),
        (400, oauth_error("invalid_grant", "25001")),
        (401, oauth_error("invalid_grant")),
        (403, oauth_error("access_denied")),
        (410, oauth_error("expired_code")),
        (400, {"request_id": "r", "error": {"type": "x", "message": "ann.secret@example.com"}}),
        (400, {"error": "invalid_grant"}),
    ],
)
def test_a_used_or_expired_code_must_begin_again(nylas, gateway, status: int, body: dict):
    nylas.answers(body, status=status)
    error = failure(gateway.exchange_code, "c", redirect_uri=REDIRECT)
    assert isinstance(error, PermanentError)
    assert (error.code, error.status) == ("code-refused", status)
    assert "begin again" in str(error)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, oauth_error("unauthorized")),
        (400, oauth_error("invalid_client")),
        (401, {"request_id": "r", "error": {"type": "unauthorized", "message": "no"}}),
    ],
)
def test_an_exchange_with_a_wrong_key_blames_the_key(nylas, gateway, status: int, body: dict):
    nylas.answers(body, status=status)
    error = failure(gateway.exchange_code, "c", redirect_uri=REDIRECT)
    assert isinstance(error, ApplicationRejected)


def test_an_exchange_at_a_bad_moment_is_transient(nylas, gateway):
    nylas.answers(oauth_error("server_error"), status=503, headers={"Retry-After": "5"})
    error = failure(gateway.exchange_code, "c", redirect_uri=REDIRECT)
    assert isinstance(error, TransientError)
    assert error.retry_after == 5


# --- grants --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "is_valid"), [("valid", True), ("invalid", False)])
def test_a_grant_is_valid_or_not(nylas, gateway, status: str, is_valid: bool):
    nylas.answers(one(grant_status=status))
    assert gateway.grant("g/1").is_valid is is_valid
    assert nylas.asked[0].path == "/v3/grants/g%2F1"


def test_a_grant_that_nylas_does_not_know_must_be_authorised_again(nylas, gateway):
    nylas.refuses(404)
    error = failure(gateway.grant, "g1")
    assert isinstance(error, ReconnectRequired)
    assert error.code == "grant-unknown"


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (429, {"request_id": "r", "error": {"type": "x", "message": "x"}},
         TransientError, "rate-limited"),
        (504, {"request_id": "r", "error": {"type": "provider_error", "message": "x"}},
         TransientError, "provider-unavailable"),
        (400, {"request_id": "r", "error": {"type": "x", "message": "x"}},
         PermanentError, "request-refused"),
        (400, {"request_id": "r"}, PermanentError, "request-refused"),
        (502, HTML, TransientError, "not-json"),
        (200, HTML, TransientError, "not-json"),
        (204, b"", TransientError, "not-json"),
        (400, {"request_id": "r",
               "error": {"type": "x", "message": "x", "provider_error": "ann.secret"}},
         TransientError, "unreadable-error"),
        (400, {"request_id": "r", "error": "ann.secret"}, TransientError, "unreadable-error"),
        (400, ["ann.secret"], TransientError, "unreadable-error"),
        (200, {"request_id": "r"}, UnexpectedAnswer, "unexpected-answer"),
        (200, {"data": GRANT}, UnexpectedAnswer, "unexpected-answer"),
        (200, {"request_id": "r", "data": {"id": "g1"}}, UnexpectedAnswer, "unexpected-answer"),
        (200, [], UnexpectedAnswer, "unexpected-answer"),
    ],
)  # fmt: skip
def test_every_failure_of_the_sdk_is_one_of_ours(nylas, gateway, status, body, kind, code):
    nylas.answers(body, status=status)
    error = failure(gateway.grant, "g1")
    assert (type(error), error.code) == (kind, code)


@pytest.mark.parametrize("status", [401, 403])
def test_a_grant_that_is_refused_is_told_from_a_wrong_key(nylas, gateway, status: int):
    nylas.refuses(status).answers({"request_id": "r", "data": []})
    assert isinstance(failure(gateway.grant, "g1"), ReconnectRequired)
    nylas.refuses(status).refuses(status)
    assert isinstance(failure(gateway.grant, "g1"), ApplicationRejected)


def test_a_warning_raised_as_an_error_is_one_of_ours(nylas, gateway):
    nylas.answers({"request_id": "r", "data": [{"provider": "google"}]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        error = failure(lambda: list(gateway.grants()))
    assert isinstance(error, UnexpectedAnswer)


def test_the_sdk_that_waits_too_long_is_transient(nylas):
    nylas.answers(one(), delay=1)
    hasty = NylasGateway(api_uri=nylas.url, api_key=API_KEY, client_id="c", timeout=(1, 0.05))
    error = failure(hasty.grant, "g1")
    assert isinstance(error, TransientError)
    assert error.code == "timed-out"


def grants_page(*ids: str) -> dict[str, Any]:
    return {"request_id": "r", "data": [GRANT | {"id": id_} for id_ in ids]}


def test_grants_are_listed_by_offset_until_an_empty_page(nylas, gateway):
    # The second page repeats one: a grant was made meanwhile.
    nylas.answers(grants_page("1", "2")).answers(grants_page("2", "3")).answers(grants_page())
    assert [grant.id for grant in gateway.grants()] == ["1", "2", "3"]
    assert [asked.query for asked in nylas.asked] == [
        {"limit": "200", "offset": offset} for offset in ("0", "2", "4")
    ]


def test_a_server_that_ignores_the_offset_does_not_loop(nylas, gateway):
    nylas.answers(grants_page("1")).answers(grants_page("1"))
    assert [grant.id for grant in gateway.grants()] == ["1"]


def test_full_pages_that_repeat_are_no_complete_listing(nylas, gateway):
    full = grants_page(*map(str, range(200)))
    nylas.answers(full).answers(full)
    assert isinstance(failure(lambda: list(gateway.grants())), UnexpectedAnswer)


def test_a_page_of_grants_that_fails_raises(nylas, gateway):
    nylas.answers(grants_page("1")).refuses(500)
    assert isinstance(failure(lambda: list(gateway.grants())), TransientError)


def test_a_grant_without_an_id_is_unexpected(nylas, gateway):
    nylas.answers({"request_id": "r", "data": [{"provider": "google"}]})
    with pytest.warns(RuntimeWarning):
        error = failure(lambda: list(gateway.grants()))
    assert isinstance(error, UnexpectedAnswer)


# --- revoking ------------------------------------------------------------------------------------


def test_a_grant_is_revoked(nylas, gateway):
    nylas.answers({"request_id": "r"})
    gateway.revoke_grant("g/1")
    assert (nylas.asked[0].method, nylas.asked[0].path) == ("DELETE", "/v3/grants/g%2F1")


@pytest.mark.parametrize("status", [404, 410])
def test_revoking_a_grant_that_is_gone_is_fine(nylas, gateway, status: int):
    nylas.refuses(status)
    gateway.revoke_grant("g1")


@pytest.mark.parametrize(("body", "status"), [(b"", 204), ({}, 200), (HTML, 502)])
def test_a_deletion_with_an_answer_unread_is_looked_up(nylas, gateway, body: Any, status: int):
    nylas.answers(body, status=status).refuses(404)
    gateway.revoke_grant("g1")
    assert nylas.asked[1].method == "GET"


def test_a_deletion_that_did_not_happen_is_a_failure(nylas, gateway):
    nylas.answers(HTML, status=502).answers(one())
    assert isinstance(failure(gateway.revoke_grant, "g1"), TransientError)


def test_revoking_with_a_wrong_key_is_a_failure(nylas, gateway):
    nylas.refuses(401)
    assert isinstance(failure(gateway.revoke_grant, "g1"), ApplicationRejected)


# --- “Test connection” ---------------------------------------------------------------------------


def test_the_check_makes_one_cheap_call_and_states_facts(nylas, gateway):
    nylas.answers({"request_id": "r", "data": []})
    facts = gateway.check()
    assert facts.startswith("127.0.0.1:")
    assert "accepts the API key" in facts
    assert nylas.asked[0].target == "/v3/grants?limit=1"


@pytest.mark.parametrize(
    ("status", "body", "code", "hint"),
    [
        (401, {}, "application-key-rejected", "NYLAS_API_KEY"),
        (403, b"", "application-key-rejected", "NYLAS_API_KEY"),
        (404, {}, "wrong-address", "NYLAS_API_URI"),
        (404, HTML, "wrong-address", "NYLAS_API_URI"),
        (200, HTML, "not-json", "NYLAS_API_URI"),
        (403, HTML, "not-json", "NYLAS_API_URI"),
        (200, {"data": {}}, "wrong-address", "NYLAS_API_URI"),
        (200, [], "wrong-address", "NYLAS_API_URI"),
        (301, b"", "redirected", "NYLAS_API_URI"),
        (429, b"", "rate-limited", "slow down"),
        (503, HTML, "provider-unavailable", "unavailable"),
    ],
)
def test_the_check_says_what_to_do(nylas, gateway, status: int, body: Any, code: str, hint: str):
    nylas.answers(body, status=status)
    error = failure(gateway.check)
    assert error.code == code
    assert hint in str(error)
