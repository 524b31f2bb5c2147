"""The browser's way to a grant: allow, deny, and everything that must fail."""

from __future__ import annotations

import html
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.sandbox.conftest import KEY, LENA, SAM, YUKI, Server

CALLBACK = "http://localhost:8000/callback?next=%2Fprofile"
QUERY = {
    "client_id": "sandbox-client",
    "redirect_uri": CALLBACK,
    "response_type": "code",
    "provider": "microsoft",
    "state": "state-1",
}


def answer_consent(server: Server, email: str, decision: str, **changes: str) -> dict[str, str]:
    response = server.request(
        "POST",
        "/v3/connect/auth",
        params={**QUERY, **changes},
        data={"email": email, "decision": decision},
        headers={},
        allow_redirects=False,
    )
    assert response.status_code == 302, response.text
    location = urlsplit(response.headers["location"])
    assert location.netloc == "localhost:8000"
    return {name: values[0] for name, values in parse_qs(location.query).items()}


def exchange(server: Server, as_form: bool = False, **body: str) -> tuple[int, dict[str, Any]]:
    full = {
        "client_id": "sandbox-client",
        "client_secret": KEY,
        "grant_type": "authorization_code",
        "redirect_uri": CALLBACK,
        **body,
    }
    sent: dict[str, Any] = {"data": full} if as_form else {"json": full}
    response = server.request("POST", "/v3/connect/token", headers={}, **sent)
    return response.status_code, response.json()


def test_the_page_offers_the_accounts_of_the_provider(server: Server) -> None:
    page = server.request("GET", "/v3/connect/auth", params={**QUERY, "login_hint": YUKI}).text
    assert f'value="{YUKI}" checked' in page
    assert SAM in page
    assert LENA not in page
    assert "North Sound CRM wants to read your mail" in page
    assert "田中" in page


def test_a_hint_of_another_provider_is_named(server: Server) -> None:
    page = server.request("GET", "/v3/connect/auth", params={**QUERY, "login_hint": LENA}).text
    assert f"{LENA} is not an account of Microsoft" in html.unescape(page)


def test_allow_gives_a_code_that_works_once(server: Server) -> None:
    answer = answer_consent(server, SAM, "allow")
    assert answer["state"] == "state-1"
    assert answer["next"] == "/profile"
    status, tokens = exchange(server, code=answer["code"])
    assert status == 200
    assert tokens["email"] == SAM
    assert "refresh_token" not in tokens
    status, error = exchange(server, code=answer["code"])
    assert (status, error["error"]) == (400, "invalid_grant")
    assert error.keys() == {"error", "error_code", "error_description", "error_uri"}


def test_a_form_is_as_good_as_json(server: Server) -> None:
    answer = answer_consent(server, SAM, "allow", access_type="offline")
    status, tokens = exchange(server, as_form=True, code=answer["code"])
    assert status == 200
    assert tokens["refresh_token"]


def test_authorising_again_keeps_the_grant(server: Server) -> None:
    noah = "noah.moreau@northsound.example"
    before = server.get("/v3/grants", email=noah).json()["data"][0]
    code = answer_consent(server, noah, "allow", scope="Mail.Read offline_access")["code"]
    _, tokens = exchange(server, code=code)
    assert tokens["grant_id"] == before["id"]
    after = server.get(f"/v3/grants/{before['id']}").json()["data"]
    assert after["scope"] == ["Mail.Read", "offline_access"]
    assert after["created_at"] == before["created_at"]
    assert after["updated_at"] > before["updated_at"]


def test_deny_comes_back_with_an_error(server: Server) -> None:
    answer = answer_consent(server, YUKI, "deny")
    assert answer["error"] == "access_denied"
    assert answer["state"] == "state-1"
    assert {"error_code", "error_description"} <= answer.keys()
    assert not server.get("/v3/grants", email=YUKI).json()["data"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"redirect_uri": "http://localhost:8000/callback"}, "invalid_grant"),
        ({"redirect_uri": CALLBACK + "/"}, "invalid_grant"),
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"client_id": "wrong"}, "invalid_client"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"client_secret": ""}, "invalid_request"),
        ({"redirect_uri": ""}, "invalid_request"),
    ],
)
def test_a_wrong_exchange_fails(server: Server, changes: dict[str, str], error: str) -> None:
    code = answer_consent(server, SAM, "allow")["code"]
    status, body = exchange(server, **{"code": code, **changes})
    assert status in (400, 401)
    assert body["error"] == error


def test_a_failed_exchange_uses_the_code_up(server: Server) -> None:
    code = answer_consent(server, SAM, "allow")["code"]
    exchange(server, code=code, redirect_uri="http://elsewhere.example/")
    status, _ = exchange(server, code=code)
    assert status == 400


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "other"},
        {"client_id": ""},
        {"redirect_uri": "not a url"},
        {"redirect_uri": "http://localhost/x#fragment"},
        {"redirect_uri": ""},
        {"response_type": "token"},
        {"response_type": ""},
        {"provider": "carrier-pigeon"},
        {"state": "s" * 257},
        {"access_type": "sometimes"},
        {"prompt": "please"},
        {"code_challenge_method": "md5"},
        {"surprise": "1"},
    ],
)
def test_a_wrong_request_gets_no_page(server: Server, changes: dict[str, str]) -> None:
    answer = server.request("GET", "/v3/connect/auth", params={**QUERY, **changes}, headers={})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_persona_of_another_provider_cannot_be_chosen(server: Server) -> None:
    form = {"email": LENA, "decision": "allow"}
    answer = server.request("POST", "/v3/connect/auth", params=QUERY, data=form, headers={})
    assert answer.status_code == 400


def test_only_registered_callbacks_where_some_are_registered(start: Any) -> None:
    strict = start("--callback", "http://localhost:8000/callback")
    ok = {**QUERY, "redirect_uri": "http://localhost:8000/callback"}
    assert strict.request("GET", "/v3/connect/auth", params=ok).status_code == 200
    assert strict.request("GET", "/v3/connect/auth", params=QUERY).status_code == 400
