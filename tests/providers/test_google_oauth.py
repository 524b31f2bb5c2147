"""Consent for a Gmail mailbox: where the browser is sent, and every way that it comes back."""

import base64
import hashlib
import os
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest

from crm_sync.providers import google_oauth
from crm_sync.providers.errors import (
    ApplicationRejected,
    PermanentError,
    ReconnectRequired,
    TransientError,
    UnexpectedAnswer,
)
from crm_sync.providers.google_oauth import MODIFY, READONLY, SCOPES
from crm_sync.providers.types import IntakeAuthorisation
from tests.conftest import free_port
from tests.providers.scripted_google import (
    CLIENT_ID,
    CLIENT_SECRET,
    REFRESH_TOKEN,
    failure,
    form_of,
)
from tests.providers.scripted_nylas import HTML

REDIRECT = "https://crm.example/settings/intake/authorised/"
ADDRESS = "crm.intake@northsound.example"
STATE = "a+b/c=&d"
VERIFIER = "v" * 64
TOKEN = {
    "access_token": "ya29.code",
    "refresh_token": REFRESH_TOKEN,
    "expires_in": 3599,
    "token_type": "Bearer",
    "scope": " ".join(reversed(SCOPES)),
}


@pytest.fixture(autouse=True)
def the_process_as_it_was(monkeypatch):
    monkeypatch.delenv("OAUTHLIB_INSECURE_TRANSPORT", raising=False)
    monkeypatch.delenv("OAUTHLIB_RELAX_TOKEN_SCOPE", raising=False)


@pytest.fixture(autouse=True)
def _google_is_here(google, settings):
    settings.GOOGLE_AUTH_URI = f"{google.url}/auth"
    settings.GOOGLE_TOKEN_URI = google.token_uri
    settings.GMAIL_API_ENDPOINT = google.url


def begin(**changes: str) -> google_oauth.Begun:
    arguments = {"redirect_uri": REDIRECT, "state": STATE, "login_hint": ADDRESS} | changes
    return google_oauth.begin(CLIENT_ID, CLIENT_SECRET, **arguments)


def back(**query: str) -> str:
    return f"{REDIRECT}?{urlencode({'state': STATE, 'code': '4/code'} | query)}"


def finish(answer_url: str = "", **changes: str) -> IntakeAuthorisation:
    arguments = {
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
        "answer_url": answer_url or back(),
        "state": STATE,
    }
    return google_oauth.finish(CLIENT_ID, CLIENT_SECRET, **(arguments | changes))


# --- the way there -------------------------------------------------------------------------------


def test_google_is_asked_for_lasting_access_and_told_the_challenge_only(google):
    begun = begin()
    challenge = hashlib.sha256(begun.code_verifier.encode()).digest()
    url = urlsplit(begun.url)
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{google.url}/auth"
    assert {name: value for name, (value,) in parse_qs(url.query).items()} == {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": REDIRECT,
        "scope": "openid https://www.googleapis.com/auth/userinfo.email "
        "https://www.googleapis.com/auth/gmail.readonly "
        "https://www.googleapis.com/auth/gmail.modify",
        "state": STATE,
        "access_type": "offline",
        "prompt": "consent",
        "login_hint": ADDRESS,
        "code_challenge": base64.urlsafe_b64encode(challenge).decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    assert 43 <= len(begun.code_verifier) <= 128
    assert begun.code_verifier not in begun.url
    assert begun.code_verifier not in repr(begun)
    assert CLIENT_SECRET not in begun.url
    assert (google.asked, google.asked_tokens) == ([], [])


def test_each_authorisation_has_a_verifier_of_its_own():
    assert begin().code_verifier != begin().code_verifier


def test_no_hint_is_left_out():
    assert "login_hint" not in parse_qs(urlsplit(begin(login_hint="").url).query)


@pytest.mark.parametrize(
    ("client_id", "secret"),
    [("", "s"), ("c", ""), ("c d", "s"), ("c", "“s”"), ("c\n", "s"), ("c", "s\x00")],
)
def test_a_client_that_none_can_be_is_refused_without_asking(google, client_id, secret):
    error = failure(google_oauth.begin, client_id, secret, redirect_uri=REDIRECT, state=STATE)
    assert isinstance(error, ApplicationRejected)
    assert error.code == "client-rejected"


# --- the way back --------------------------------------------------------------------------------


def test_consent_becomes_a_refresh_token_and_the_mailboxs_own_address(google):
    google.gives_token(TOKEN)
    google.answers({"emailAddress": ADDRESS, "historyId": "1"})
    given = finish()
    assert given == IntakeAuthorisation(REFRESH_TOKEN, ADDRESS, frozenset(SCOPES))
    assert REFRESH_TOKEN not in repr(given)
    exchange, refresh = google.asked_tokens
    assert form_of(exchange) == {
        "grant_type": "authorization_code",
        "code": "4/code",
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
    }
    basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
    assert exchange.headers["Authorization"] == f"Basic {basic}"
    # What is kept is what was tried.
    assert form_of(refresh)["refresh_token"] == REFRESH_TOKEN


def test_only_the_query_of_the_answer_counts(settings):
    """Behind a proxy Django may see http:// and another host."""
    settings.GOOGLE_AUTH_URI = "https://accounts.google.com/o/oauth2/v2/auth"
    settings.GOOGLE_TOKEN_URI = "https://oauth2.googleapis.com/token"
    query = urlencode({"state": STATE, "error": "access_denied"})
    for address in ("http://10.0.0.7/authorised/", "/authorised/"):
        assert failure(finish, f"{address}?{query}").code == "consent-denied"


@pytest.mark.parametrize(
    "scope",
    [
        " ".join(SCOPES),
        " ".join((*SCOPES, "https://www.googleapis.com/auth/userinfo.profile")),
        " ".join(scope for scope in SCOPES if "userinfo" not in scope),
        f"{READONLY} {MODIFY}",
    ],
)
def test_scopes_of_another_order_or_number_are_no_error(google, scope: str):
    google.gives_token(TOKEN | {"scope": scope})
    google.answers({"emailAddress": ADDRESS})
    assert finish().scopes == frozenset(scope.split())
    assert "OAUTHLIB_RELAX_TOKEN_SCOPE" not in os.environ


def test_an_answer_without_scopes_means_all_that_were_asked_for(google):
    google.gives_token({name: value for name, value in TOKEN.items() if name != "scope"})
    google.answers({"emailAddress": ADDRESS})
    assert finish().scopes == frozenset(SCOPES)


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ((READONLY,), "not allowed to read mail."),
        ((MODIFY,), "not allowed to label mail."),
        ((READONLY, MODIFY), "not allowed to read mail and to label mail."),
    ],
)
def test_unticked_boxes_are_named(google, missing, words: str):
    google.gives_token(TOKEN | {"scope": " ".join(s for s in SCOPES if s not in missing)})
    error = failure(finish)
    assert isinstance(error, PermanentError)
    assert error.code == "scopes-missing"
    assert words in str(error)
    assert "leave every box ticked" in str(error)
    assert google.asked == []


@pytest.mark.parametrize("given", [{}, {"refresh_token": None}, {"refresh_token": ""}], ids=str)
def test_no_refresh_token_says_what_to_do(google, given):
    google.gives_token({k: v for k, v in TOKEN.items() if k != "refresh_token"} | given)
    error = failure(finish)
    assert error.code == "no-refresh-token"
    assert "remove this CRM" in str(error)


@pytest.mark.parametrize(
    ("answer_url", "state"),
    [
        (back(state="forged"), STATE),
        (back(state=STATE[:-1]), STATE),
        (f"{REDIRECT}?code=4/code", STATE),
        (f"{REDIRECT}?code=4/code&state=", STATE),
        (f"{REDIRECT}?code=4/code&state=", ""),
        (f"{REDIRECT}?code=4/code", ""),
        (back(state="forged", error="access_denied"), STATE),
        (f"{REDIRECT}", STATE),
    ],
)
def test_an_answer_to_another_question_is_refused_before_google_is_asked(
    google, answer_url: str, state: str
):
    error = failure(finish, answer_url, state=state)
    assert error.code == "state-mismatch"
    assert google.asked_tokens == []


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        ("access_denied", PermanentError, "consent-denied"),
        ("admin_policy_enforced", ReconnectRequired, "refused-by-policy"),
        ("org_internal", ReconnectRequired, "refused-by-policy"),
        ("server_error", TransientError, "provider-unavailable"),
        ("temporarily_unavailable", TransientError, "provider-unavailable"),
        ("interaction_required", PermanentError, "code-refused"),
        ("<b>ann.secret</b>", PermanentError, "code-refused"),
    ],
)
def test_an_error_that_the_browser_brings_back_has_a_sentence(google, error, kind, code):
    query = urlencode({"state": STATE, "error": error, "error_description": "ann.secret@x"})
    found = failure(finish, f"{REDIRECT}?{query}")
    assert (type(found), found.code) == (kind, code)
    assert google.asked_tokens == []


def test_an_answer_without_a_code_begins_again(google):
    assert failure(finish, f"{REDIRECT}?state={quote(STATE)}").code == "code-refused"
    assert google.asked_tokens == []


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (400, {"error": "invalid_grant", "error_description": "Missing code verifier"},
         PermanentError, "code-refused"),
        (401, {"error": "invalid_client"}, ApplicationRejected, "client-rejected"),
        (401, {"error": "unauthorized_client"}, ApplicationRejected, "client-rejected"),
        (400, {"error": "redirect_uri_mismatch"}, ApplicationRejected, "redirect-uri-mismatch"),
        (403, {"error": "org_internal"}, ReconnectRequired, "refused-by-policy"),
        (400, {"error": "unsupported_grant_type"}, UnexpectedAnswer, "unexpected-answer"),
        (500, {"error": "internal_failure"}, TransientError, "provider-unavailable"),
        (503, HTML, TransientError, "provider-unavailable"),
        (429, b"", TransientError, "rate-limited"),
        (302, b"", UnexpectedAnswer, "redirected"),
        (307, b"", UnexpectedAnswer, "redirected"),
        (200, HTML, TransientError, "not-json"),
        (200, b"access_token=ya29.form&refresh_token=x", TransientError, "not-json"),
        (200, [], UnexpectedAnswer, "unexpected-answer"),
        (200, {}, UnexpectedAnswer, "unexpected-answer"),
        (200, {"error": "invalid_grant"}, PermanentError, "code-refused"),
        (200, TOKEN | {"scope": 7}, UnexpectedAnswer, "unexpected-answer"),
        (200, TOKEN | {"scope": ""}, PermanentError, "scopes-missing"),
        (200, TOKEN | {"expires_in": "soon"}, UnexpectedAnswer, "unexpected-answer"),
        (200, TOKEN | {"refresh_token": 7}, PermanentError, "no-refresh-token"),
    ],
    ids=str,
)  # fmt: skip
def test_every_failure_of_the_exchange_is_one_of_ours(google, status, body, kind, code):
    google.gives_token(body, status=status, headers={"Location": f"{google.url}/elsewhere"})
    error = failure(finish)
    assert (type(error), error.code) == (kind, code)
    assert len(google.asked_tokens) == 1
    assert google.asked == []


def test_an_exchange_that_cannot_reach_google_is_transient(settings):
    settings.GOOGLE_TOKEN_URI = f"http://127.0.0.1:{free_port()}/token"
    error = failure(finish)
    assert (type(error), error.code) == (TransientError, "unreachable")


def test_an_exchange_that_takes_too_long_is_transient(google, monkeypatch):
    google.gives_token(TOKEN, delay=1)
    monkeypatch.setattr(google_oauth, "TIMEOUT", (1, 0.05))
    error = failure(finish)
    assert (type(error), error.code) == (TransientError, "timed-out")


def test_an_api_that_is_not_enabled_is_said_when_the_address_is_asked_for(google):
    google.gives_token(TOKEN)
    google.refuses(403, "accessNotConfigured")
    error = failure(finish)
    assert isinstance(error, ApplicationRejected)
    assert "Enable the Gmail API" in str(error)


# --- plain http ----------------------------------------------------------------------------------


def test_plain_http_is_allowed_only_where_the_settings_name_it(settings):
    settings.GOOGLE_AUTH_URI = "https://accounts.google.com/o/oauth2/v2/auth"
    settings.GOOGLE_TOKEN_URI = "https://oauth2.googleapis.com/token"
    assert begin().url.startswith("https://accounts.google.com/")
    assert "OAUTHLIB_INSECURE_TRANSPORT" not in os.environ
    begin(redirect_uri="http://localhost:8000/back/")
    assert os.environ["OAUTHLIB_INSECURE_TRANSPORT"] == "1"
