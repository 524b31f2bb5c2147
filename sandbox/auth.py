"""Hosted authentication: consent page, codes, tokens."""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sandbox import happenings, pages, parameters
from sandbox.errors import ApiError, OAuthError, bad_request
from sandbox.grants import PROVIDERS
from sandbox.routing import Answer, Call, api
from sandbox.state import API_KEY, CLIENT_ID, SCOPES, Grant, Sandbox
from sandbox.world import Persona

CODE_LIFETIME = 600
TOKEN_LIFETIME = 3_600
STATE_LIMIT = 256
SHOWN_PERSONAS = 30

AUTH_QUERY: parameters.Spec = dict.fromkeys(
    (
        "client_id", "redirect_uri", "response_type", "provider", "scope", "state", "login_hint",
        "code_challenge", "code_challenge_method", "credential_id", "options",
    ),
    parameters.text,
) | {
    "prompt": parameters.one_of(
        "select_provider", "detect", "select_provider,detect", "detect,select_provider"
    ),
    "access_type": parameters.one_of("online", "offline"),
    "include_grant_scopes": parameters.boolean,
}  # fmt: skip


class Code(msgspec.Struct):
    """A code on its way to the token endpoint; lost with the process."""

    index: int
    redirect_uri: str
    expires_at: int
    scope: list[str]
    state: str
    is_offline: bool
    challenge: str
    user_agent: str


class Token(msgspec.Struct):
    grant_id: str
    expires_at: int
    refresh_token: str | None


class Tokens:
    """Codes and tokens in the hands of clients."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.codes: dict[str, Code] = {}
        self.access: dict[str, Token] = {}
        self.refresh: dict[str, str] = {}  # refresh token -> grant ID

    def grant_for(self, access_token: str) -> str | None:
        token = self.access.get(access_token)
        if token is None or token.expires_at < self._sandbox.now():
            return None
        return token.grant_id

    def issue(self, grant: Grant, refresh_token: str | None) -> str:
        access = "nyat_" + secrets.token_urlsafe(24)
        expires_at = self._sandbox.now() + TOKEN_LIFETIME
        self.access[access] = Token(grant.id, expires_at, refresh_token)
        return access

    def revoke(self, token: str) -> bool:
        """Revoke a token and what hangs on it. The grant survives."""
        refresh = token if token in self.refresh else None
        if found := self.access.pop(token, None):
            refresh = found.refresh_token
        elif refresh is None:
            return False
        if refresh is not None:
            self.refresh.pop(refresh, None)
            self.access = {k: t for k, t in self.access.items() if t.refresh_token != refresh}
        return True


def _tokens(call: Call) -> Tokens:
    tokens: Tokens = call.request.app.state.tokens
    return tokens


# --- the consent page -----------------------------------------------------------------------------


def _check_request(call: Call) -> None:
    params = call.params
    for name in ("client_id", "redirect_uri", "response_type"):
        if not params.get(name):
            raise bad_request(f"missing required query parameter {name!r}")
    if params["client_id"] != CLIENT_ID:
        raise ApiError(400, "invalid_request_error", "application not found for this client_id")
    if params["response_type"] != "code":
        raise bad_request("response_type must be 'code' (admin consent is not modelled)")
    target = urlsplit(params["redirect_uri"])
    allowed = call.request.app.state.callbacks
    if target.scheme not in ("http", "https") or not target.netloc or target.fragment:
        raise bad_request("redirect_uri must be an absolute http(s) URL without a fragment")
    if allowed and params["redirect_uri"] not in allowed:
        raise bad_request("redirect_uri is not registered for this application")
    if len(params.get("state", "")) > STATE_LIMIT:
        raise bad_request(f"state is longer than {STATE_LIMIT} characters")
    for provider in _providers(params):
        if provider not in PROVIDERS:
            raise bad_request(f"unknown provider {provider!r}")
    if params.get("code_challenge_method", "plain") not in ("plain", "S256", "s256"):
        raise bad_request("code_challenge_method must be plain or S256")


def _providers(params: dict[str, Any]) -> list[str]:
    return [part for part in params.get("provider", "").split(",") if part]


def _choices(call: Call) -> list[Persona]:
    """The personas to offer: those of the provider, the one of the login hint first."""
    sandbox, wanted = call.sandbox, _providers(call.params)
    hinted = sandbox.index_of(call.params.get("login_hint", ""))
    order = [] if hinted is None else [hinted]
    found = []
    for index in (*order, *(n for n in range(sandbox.world.size) if n != hinted)):
        persona = sandbox.world.persona(index)
        if not wanted or sandbox.provider_of(index) in wanted:
            found.append(persona)
        if len(found) == SHOWN_PERSONAS:
            break
    return found


def show_consent(call: Call) -> Answer:
    _check_request(call)
    personas = _choices(call)
    return pages.consent(
        params=call.params,
        providers=_providers(call.params),
        personas=personas,
        hint=call.params.get("login_hint", ""),
        is_cut=len(personas) == SHOWN_PERSONAS,
        granted={grant.index for grant in call.sandbox.grants.values()},
    )


def _back(redirect_uri: str, answer: dict[str, str]) -> Response:
    """To the application, keeping whatever query its URI has."""
    parts = urlsplit(redirect_uri)
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *answer.items()])
    return RedirectResponse(urlunsplit(parts._replace(query=query)), 302)


async def decide(call: Call) -> Answer:
    """The consent page's form: `decision` is allow or deny, `email` or `other` the persona."""
    _check_request(call)
    params = call.params
    form = await call.request.form()
    state = {"state": params["state"]} if "state" in params else {}
    if form.get("decision") != "allow":
        denied = {
            "error": "access_denied",
            "error_code": "25016",
            "error_description": "The user denied access to the account.",
        }
        return _back(params["redirect_uri"], {**denied, **state})
    email = str(form.get("other") or "").strip() or str(form.get("email") or "").strip()
    index = call.sandbox.index_of(email)
    if index is None:
        raise bad_request(f"there is no persona with the address {email!r} in this world")
    provider = call.sandbox.provider_of(index)
    if _providers(params) and provider not in _providers(params):
        raise bad_request(f"{email} is an account at {provider}, not at {params['provider']}")
    code = secrets.token_urlsafe(32)
    _tokens(call).codes[code] = Code(
        index=index,
        redirect_uri=params["redirect_uri"],
        expires_at=call.sandbox.now() + CODE_LIFETIME,
        scope=params.get("scope", "").split() or list(SCOPES.get(provider, ())),
        state=params.get("state", ""),
        is_offline=params.get("access_type") == "offline",
        challenge=params.get("code_challenge", ""),
        user_agent=call.request.headers.get("user-agent", ""),
    )
    return _back(params["redirect_uri"], {"code": code, **state})


# --- tokens ---------------------------------------------------------------------------------------


async def _token_body(call: Call) -> dict[str, str]:
    """JSON or a form; anything else is refused in the OAuth shape."""
    content_type = call.request.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type == "application/json":
        try:
            return msgspec.json.decode(call.body, type=dict[str, str])
        except msgspec.DecodeError as error:
            raise OAuthError("invalid_request", f"error parsing request body: {error}") from error
    if content_type == "application/x-www-form-urlencoded":
        return dict(parse_qsl(call.body.decode("utf-8", "replace")))
    raise OAuthError("invalid_request", "Content-Type must be JSON or a form")


def _is_verified(challenge: str, verifier: str) -> bool:
    """Plain, S256 as in RFC 7636, or the SDK's own form (base64 of the hexadecimal hash)."""
    if not challenge:
        return True
    digest = hashlib.sha256(verifier.encode())
    proper = base64.urlsafe_b64encode(digest.digest()).decode().rstrip("=")
    of_sdk = base64.b64encode(digest.hexdigest().encode()).decode().rstrip("=")
    return challenge in (verifier, proper, of_sdk)


def _redeem(call: Call, body: dict[str, str]) -> dict[str, Any]:
    # Taken out first: after any failure the flow starts again.
    code = _tokens(call).codes.pop(body["code"], None)
    if code is None or code.expires_at < call.sandbox.now():
        raise OAuthError("invalid_grant", "The code is unknown, expired or was used before.")
    if body["redirect_uri"] != code.redirect_uri:
        raise OAuthError("invalid_grant", "redirect_uri is not the one that the code was made for.")
    if not _is_verified(code.challenge, body.get("code_verifier", "")):
        raise OAuthError("invalid_grant", "code_verifier does not match the code_challenge.")
    grant = happenings.authorise(
        call.sandbox, code.index, scope=code.scope, state=code.state, user_agent=code.user_agent
    )
    refresh = None
    if code.is_offline:
        refresh = "nyrt_" + secrets.token_urlsafe(24)
        _tokens(call).refresh[refresh] = grant.id
    return _token_answer(call, grant, refresh)


def _refresh(call: Call, body: dict[str, str]) -> dict[str, Any]:
    grant_id = _tokens(call).refresh.get(body["refresh_token"])
    grant = call.sandbox.grants.get(grant_id or "")
    if grant is None:
        raise OAuthError("invalid_grant", "The refresh token is unknown or was revoked.")
    return _token_answer(call, grant, body["refresh_token"])


def _token_answer(call: Call, grant: Grant, refresh: str | None) -> dict[str, Any]:
    now = call.sandbox.now()
    claims = {
        "iss": "https://sandbox.example", "aud": CLIENT_ID, "sub": grant.id,
        "email": grant.email, "iat": now, "exp": now + TOKEN_LIFETIME,
    }  # fmt: skip
    parts = [msgspec.json.encode(part) for part in ({"alg": "none", "typ": "JWT"}, claims)]
    id_token = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    answer: dict[str, Any] = {
        "access_token": _tokens(call).issue(grant, refresh),
        "expires_in": TOKEN_LIFETIME,
        "id_token": id_token + ".",
        "email": grant.email,
        "scope": " ".join(grant.scope),
        "token_type": "Bearer",
        "grant_id": grant.id,
        "provider": grant.provider,
    }
    if refresh is not None:
        answer["refresh_token"] = refresh
    return answer


async def exchange(call: Call) -> Answer:
    body = await _token_body(call)
    needed = {
        "authorization_code": ("code", "redirect_uri"),
        "refresh_token": ("refresh_token",),
    }.get(body.get("grant_type", ""))
    if needed is None:
        raise OAuthError("unsupported_grant_type", "grant_type is missing or not supported.")
    for name in ("client_id", "client_secret", *needed):
        if not body.get(name):
            raise OAuthError("invalid_request", f"Missing required parameter: {name}")
    if body["client_id"] != CLIENT_ID or body["client_secret"] != API_KEY:
        _tokens(call).codes.pop(body.get("code", ""), None)
        raise OAuthError("invalid_client", "Unknown client_id or wrong client_secret.", status=401)
    return _redeem(call, body) if "code" in needed else _refresh(call, body)


def revoke(call: Call) -> Answer:
    token = call.params.get("token")
    if not token or not _tokens(call).revoke(token):
        raise OAuthError("invalid_token", "Token expired or revoked")
    return call.done()


def token_info(call: Call) -> Answer:
    token = call.params.get("access_token", "")
    if "id_token" in call.params:
        return call.one(_claims(call.params["id_token"]))
    grant_id = _tokens(call).grant_for(token)
    grant = call.sandbox.grants.get(grant_id or "")
    if grant is None:
        raise OAuthError("invalid_token", "Token expired or revoked")
    expires_at = _tokens(call).access[token].expires_at
    return call.one(
        {
            "iss": "https://sandbox.example",
            "aud": CLIENT_ID,
            "sub": grant.id,
            "email": grant.email,
            "iat": expires_at - TOKEN_LIFETIME,
            "exp": expires_at,
        }
    )


def _claims(id_token: str) -> dict[str, Any]:
    try:
        payload = id_token.split(".")[1]
        raw = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (IndexError, ValueError, msgspec.DecodeError) as error:
        raise OAuthError("invalid_token", "Token expired or revoked") from error


def detect_provider(call: Call) -> Answer:
    email = call.params.get("email")
    if not email:
        raise bad_request("missing required query parameter 'email'")
    index = call.sandbox.index_of(email)
    data: dict[str, Any] = {"email_address": email, "detected": index is not None}
    if index is not None:
        data["provider"] = call.sandbox.provider_of(index)
    return call.one(data)


_AUTH = "/v3/connect/auth"
ROUTES: list[Route] = [
    api(_AUTH, show_consent, query=AUTH_QUERY, needs_key=False),
    api(_AUTH, decide, method="POST", query=AUTH_QUERY, needs_key=False),
    api("/v3/connect/token", exchange, method="POST", needs_key=False),
    api("/v3/connect/revoke", revoke, method="POST", query={"token": parameters.text}),
    api(
        "/v3/connect/tokeninfo",
        token_info,
        query={"id_token": parameters.text, "access_token": parameters.text},
    ),
    api(
        "/v3/providers/detect",
        detect_provider,
        method="POST",
        query={"email": parameters.text, "all_provider_types": parameters.boolean},
    ),
]
