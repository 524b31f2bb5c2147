"""Authorisation at Google, driven by google-auth-oauthlib; and what is refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import Request
from oauthlib.oauth2.rfc6749.errors import (
    AccessDeniedError,
    CustomOAuth2Error,
    InvalidClientError,
    InvalidGrantError,
    MismatchingStateError,
)

from sandbox import google_auth
from sandbox.google_accounts import CODE_LIFETIME, Code
from sandbox.google_errors import TokenError
from sandbox.state import Sandbox
from sandbox.world import World
from tests.sandbox.conftest import ANCHOR, Server
from tests.sandbox.google_client import (
    CALLBACK,
    CLIENT_ID,
    CLIENT_SECRET,
    EMAIL,
    INTAKE,
    MODIFY,
    READONLY,
    SCOPES,
    SECOND,
    consent,
    credentials_for,
    flow_for,
    query_of,
    service_for,
)

FIRST_TIME = {"access_type": "offline", "prompt": "consent", "include_granted_scopes": "true"}


@pytest.fixture(scope="module")
def google() -> Iterator[Server]:
    running = Server("--anchor", ANCHOR)
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def plain_http(monkeypatch: pytest.MonkeyPatch, google: Server) -> Iterator[None]:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    yield
    for account in (INTAKE, SECOND):
        google.request("POST", "/sandbox/google/revoke", json={"account": account})


def token(google: Server, *, auth: Any = None, **form: str) -> requests.Response:
    return requests.post(f"{google.url}/google/token", data=form, auth=auth, timeout=10)


def code_of(google: Server, **params: str) -> str:
    """A code for a client without PKCE."""
    query = {
        "client_id": CLIENT_ID,
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "scope": MODIFY,
        "access_type": "offline",
        **params,
    }
    url = requests.Request("GET", f"{google.url}/google/auth", params=query).prepare().url
    return query_of(consent(str(url)))["code"]


def redeem(google: Server, code: str, **more: str) -> requests.Response:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
    }
    return token(google, **{**form, **more})


# --- the whole way --------------------------------------------------------------------------------


def test_a_browser_goes_through_the_page_and_comes_back_with_tokens(google: Server) -> None:
    flow = flow_for(google)
    url, state = flow.authorization_url(**FIRST_TIME, login_hint=INTAKE)
    page = requests.get(url, timeout=10).text
    assert INTAKE in page
    assert SECOND in page
    assert f'name="scope" value="{MODIFY}" checked' in page
    location = consent(url, chosen="1", scope=[MODIFY])
    assert query_of(location)["state"] == state
    flow.fetch_token(authorization_response=location)
    credentials = flow.credentials
    assert credentials.refresh_token
    assert set(credentials.granted_scopes) == set(SCOPES)
    claims = json.loads(base64.urlsafe_b64decode(credentials.id_token.split(".")[1] + "=="))
    assert (claims["email"], claims["aud"]) == (INTAKE, CLIENT_ID)
    profile = service_for(google, credentials).getProfile(userId="me").execute()
    assert profile["emailAddress"] == INTAKE
    before = credentials.token
    credentials.refresh(Request())
    assert credentials.token != before
    assert service_for(google, credentials).getProfile(userId=INTAKE).execute()


def test_the_second_account_can_be_chosen(google: Server) -> None:
    flow = flow_for(google)
    url, _ = flow.authorization_url(**FIRST_TIME, login_hint=INTAKE)
    flow.fetch_token(authorization_response=consent(url, SECOND))
    profile = service_for(google, flow.credentials).getProfile(userId="me").execute()
    assert (profile["emailAddress"], profile["messagesTotal"]) == (SECOND, 0)


def test_cancel(google: Server) -> None:
    flow = flow_for(google)
    url, _ = flow.authorization_url()
    location = consent(url, decision="deny")
    assert query_of(location)["error"] == "access_denied"
    with pytest.raises(AccessDeniedError):
        flow.fetch_token(authorization_response=location)


def test_a_state_of_somebody_else_is_noticed_by_the_client(google: Server) -> None:
    flow = flow_for(google)
    url, state = flow.authorization_url()
    location = consent(url)
    with pytest.raises(MismatchingStateError):
        flow.fetch_token(authorization_response=location.replace(state, "another"))


def test_an_unticked_scope_is_not_granted(google: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    scopes = ["openid", "email", READONLY, MODIFY]
    flow = flow_for(google, scopes)
    url, _ = flow.authorization_url(**FIRST_TIME)
    location = consent(url, chosen="1", scope=[READONLY])
    with pytest.raises(Warning, match="Scope has changed"):
        flow.fetch_token(authorization_response=location)
    monkeypatch.setenv("OAUTHLIB_RELAX_TOKEN_SCOPE", "1")
    flow = flow_for(google, scopes)
    url, _ = flow.authorization_url(access_type="offline", prompt="consent")
    flow.fetch_token(authorization_response=consent(url, chosen="1", scope=[READONLY]))
    credentials = flow.credentials
    # "email" comes back under its newer name.
    assert set(credentials.granted_scopes) == {"openid", EMAIL, READONLY}
    with pytest.raises(RefreshError, match="invalid_scope"):
        credentials.refresh(Request())


def test_nothing_but_the_identity_is_left_when_all_is_unticked(google: Server) -> None:
    url, _ = flow_for(google, ["openid", MODIFY]).authorization_url()
    assert query_of(consent(url, chosen="1"))["scope"] == "openid"
    url, _ = flow_for(google, [MODIFY]).authorization_url()
    assert query_of(consent(url, chosen="1"))["error"] == "access_denied"


def test_granted_scopes_are_added_up_only_when_asked(google: Server) -> None:
    code_of(google, scope=READONLY)
    alone = redeem(google, code_of(google, scope=MODIFY)).json()["scope"].split()
    assert alone == [MODIFY]
    more = redeem(google, code_of(google, scope=MODIFY, include_granted_scopes="true"))
    assert set(more.json()["scope"].split()) == {READONLY, MODIFY}


# --- refresh tokens -------------------------------------------------------------------------------


def test_a_refresh_token_comes_with_the_first_consent_only(google: Server) -> None:
    assert "refresh_token" in redeem(google, code_of(google)).json()
    assert "refresh_token" not in redeem(google, code_of(google)).json()
    assert "refresh_token" in redeem(google, code_of(google, prompt="consent")).json()


def test_no_refresh_token_without_offline_access(google: Server) -> None:
    code = code_of(google, access_type="online", prompt="consent")
    assert "refresh_token" not in redeem(google, code).json()


def test_a_revoked_consent_ends_every_token(google: Server) -> None:
    credentials = credentials_for(google)
    service = service_for(google, credentials)
    service.getProfile(userId="me").execute()
    google.control("google/revoke")
    with pytest.raises(RefreshError) as error:
        service.getProfile(userId="me").execute()
    message, body = error.value.args
    assert message == "invalid_grant: Token has been expired or revoked."
    assert body["error"] == "invalid_grant"
    assert error.value.retryable is False


def test_the_client_can_revoke(google: Server) -> None:
    credentials = credentials_for(google)
    credentials.refresh(Request())
    url = f"{google.url}/google/revoke"
    assert requests.post(url, params={"token": credentials.token}, timeout=10).status_code == 200
    with pytest.raises(RefreshError, match="expired or revoked"):
        credentials.refresh(Request())
    again = requests.post(url, data={"token": credentials.refresh_token}, timeout=10)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_token")


def test_an_unknown_refresh_token(google: Server) -> None:
    credentials = credentials_for(google)
    credentials._refresh_token = "1//0gunknown"
    with pytest.raises(RefreshError, match="invalid_grant: Bad Request"):
        credentials.refresh(Request())


def test_expired_access_tokens_are_refreshed_by_the_client(google: Server) -> None:
    service = service_for(google)
    service.getProfile(userId="me").execute()
    assert google.control("google/expire-tokens")["expired"] >= 1
    google.request("DELETE", "/sandbox/requests")
    service.getProfile(userId="me").execute()
    counts = google.get("/sandbox/requests").json()["counts"]
    assert counts["POST /google/token"] == 1
    assert counts["GET /gmail/v1/users/{userId}/profile"] == 2


# --- PKCE, codes, clients -------------------------------------------------------------------------


def test_a_new_flow_without_the_verifier_is_refused(google: Server) -> None:
    url, _ = flow_for(google).authorization_url()
    with pytest.raises(InvalidGrantError, match="Missing code verifier"):
        flow_for(google).fetch_token(code=query_of(consent(url))["code"])


def test_a_wrong_verifier_is_refused(google: Server) -> None:
    url, _ = flow_for(google).authorization_url()
    with pytest.raises(InvalidGrantError, match="Invalid code verifier"):
        flow_for(google, code_verifier="w" * 64).fetch_token(code=query_of(consent(url))["code"])


def test_the_verifier_kept_aside_is_accepted(google: Server) -> None:
    first = flow_for(google)
    url, _ = first.authorization_url()
    second = flow_for(google, code_verifier=first.code_verifier)
    second.fetch_token(code=query_of(consent(url))["code"])
    assert second.credentials.token


def test_a_verifier_without_a_challenge_is_refused(google: Server) -> None:
    answer = redeem(google, code_of(google), code_verifier="v" * 64)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_a_code_is_good_once(google: Server) -> None:
    code = code_of(google)
    assert "/" in code
    assert redeem(google, code).status_code == 200
    again = redeem(google, code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    unknown = redeem(google, "4/0Aunknown").json()
    assert unknown == {"error": "invalid_grant", "error_description": "Malformed auth code."}


def test_a_code_runs_out() -> None:
    world = World(seed=1, anchor=1_773_619_200, mailboxes=1, messages=10, history_days=5)
    google = Sandbox(world).google
    code = Code(
        account=INTAKE, scopes=[MODIFY], redirect_uri=CALLBACK, challenge="",
        challenge_method="plain", is_offline=True, wants_refresh_token=False, nonce="",
        expires_at=google.now() + CODE_LIFETIME,
    )  # fmt: skip
    form = {"code": "c", "redirect_uri": CALLBACK}
    google.codes["c"] = code
    assert google_auth.redeem(google, form)["expires_in"] == 3_599
    code.expires_at = google.now() - 1
    google.codes["c"] = code
    with pytest.raises(TokenError) as error:
        google_auth.redeem(google, form)
    assert error.value.error == "invalid_grant"


def test_another_redirect_uri_than_before(google: Server) -> None:
    flow = flow_for(google)
    url, _ = flow.authorization_url()
    code = query_of(consent(url))["code"]
    flow.redirect_uri = CALLBACK + "/"
    with pytest.raises(CustomOAuth2Error) as error:
        flow.fetch_token(code=code)
    assert error.value.error == "redirect_uri_mismatch"


def test_the_wrong_secret(google: Server) -> None:
    flow = flow_for(google)
    url, _ = flow.authorization_url()
    code = query_of(consent(url))["code"]
    flow.client_config["client_secret"] = "wrong"
    with pytest.raises(InvalidClientError):
        flow.fetch_token(code=code)
    answer = redeem(google, code, client_secret="wrong")
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_the_client_comes_in_the_header_or_in_the_body(google: Server) -> None:
    form = {"grant_type": "authorization_code", "redirect_uri": CALLBACK}
    basic = (CLIENT_ID, CLIENT_SECRET)
    assert token(google, auth=basic, code=code_of(google), **form).status_code == 200
    assert redeem(google, code_of(google)).status_code == 200
    wrong = token(google, auth=(CLIENT_ID, "wrong"), code=code_of(google), **form)
    assert wrong.status_code == 401


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"grant_type": ""}, 400, "unsupported_grant_type"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"client_id": ""}, 400, "invalid_request"),
        ({"client_id": "another"}, 401, "invalid_client"),
        ({"client_secret": ""}, 400, "invalid_request"),
        ({"code": ""}, 400, "invalid_request"),
        ({"redirect_uri": ""}, 400, "invalid_request"),
    ],
)
def test_what_the_token_endpoint_refuses(
    google: Server, changes: dict[str, str], status: int, error: str
) -> None:
    answer = redeem(google, changes.pop("code", "4/0Ax"), **changes)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.json().keys() == {"error", "error_description"}


def test_the_token_endpoint_takes_forms_only(google: Server) -> None:
    url = f"{google.url}/google/token"
    body = {"grant_type": "refresh_token", "client_id": CLIENT_ID}
    assert requests.post(url, json=body, timeout=10).json()["error"] == "invalid_request"
    twice = "grant_type=refresh_token&grant_type=refresh_token"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = requests.post(url, data=twice, headers=headers, timeout=10)
    assert answer.json()["error"] == "invalid_request"


# --- the authorization request --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"client_id": ""}, 400, "invalid_request"),
        ({"client_id": "another"}, 401, "invalid_client"),
        ({"redirect_uri": ""}, 400, "invalid_request"),
        ({"redirect_uri": "/callback"}, 400, "invalid_request"),
        ({"redirect_uri": CALLBACK + "#x"}, 400, "invalid_request"),
        ({"response_type": "token"}, 400, "unsupported_response_type"),
        ({"scope": ""}, 400, "invalid_request"),
        ({"scope": "everything"}, 400, "invalid_scope"),
        ({"access_type": "always"}, 400, "invalid_request"),
        ({"prompt": "login"}, 400, "invalid_request"),
        ({"include_granted_scopes": "yes"}, 400, "invalid_request"),
        ({"code_challenge": "x", "code_challenge_method": "S512"}, 400, "invalid_request"),
        ({"code_challenge_method": "S256"}, 400, "invalid_request"),
        ({"surprise": "1"}, 400, "invalid_request"),
        ({"state": ["a", "b"]}, 400, "invalid_request"),
    ],
)
def test_a_bad_request_ends_on_googles_own_page(
    google: Server, changes: dict[str, Any], status: int, error: str
) -> None:
    query = {
        "client_id": CLIENT_ID,
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "scope": MODIFY,
        **changes,
    }
    for method in ("GET", "POST"):
        answer = requests.request(
            method,
            f"{google.url}/google/auth",
            params=query,
            data={"decision": "allow", "account": INTAKE} if method == "POST" else None,
            allow_redirects=False,
            timeout=10,
        )
        assert answer.status_code == status
        assert f"<code>{error}</code>" in answer.text
        assert "location" not in answer.headers


def test_an_account_that_does_not_exist_cannot_consent(google: Server) -> None:
    url, _ = flow_for(google).authorization_url()
    form = {"decision": "allow", "account": "who@northsound.example"}
    answer = requests.post(url, data=form, allow_redirects=False, timeout=10)
    assert answer.status_code == 400


def test_the_answer_keeps_the_query_of_the_redirect_uri(google: Server) -> None:
    flow = flow_for(google)
    flow.redirect_uri = CALLBACK + "?tab=intake"
    url, state = flow.authorization_url()
    query = query_of(consent(url))
    assert (query["tab"], query["state"]) == ("intake", state)


def test_prompt_none_needs_a_consent(google: Server) -> None:
    flow = flow_for(google)
    url, _ = flow.authorization_url(prompt="none", login_hint=INTAKE)
    answer = requests.get(url, allow_redirects=False, timeout=10)
    assert query_of(answer.headers["location"])["error"] == "interaction_required"
    google.control("google/authorise")
    answer = requests.get(url, allow_redirects=False, timeout=10)
    flow.fetch_token(code=query_of(answer.headers["location"])["code"])
    assert flow.credentials.token


def test_only_registered_redirect_uris(start: Callable[..., Server]) -> None:
    google = start("--anchor", ANCHOR, "--callback", "http://localhost:8000/right")
    url, _ = flow_for(google).authorization_url()
    answer = requests.get(url, timeout=10)
    assert answer.status_code == 400
    assert "redirect_uri_mismatch" in answer.text
