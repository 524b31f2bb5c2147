"""Google's authorisation: the consent page, the token endpoint, revocation."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sandbox import google_pages
from sandbox.google_accounts import (
    CLIENT_ID,
    CLIENT_SECRET,
    CODE_LIFETIME,
    EMAIL,
    IDENTITY,
    NAMES,
    RENAMED,
    SCOPES,
    Code,
    Google,
)
from sandbox.google_errors import TokenError
from sandbox.google_routing import error_answer, json_answer

_ALLOWED = frozenset(
    (
        "client_id", "redirect_uri", "response_type", "scope", "state", "access_type", "prompt",
        "include_granted_scopes", "enable_granular_consent", "login_hint", "hd", "hl", "nonce",
        "code_challenge", "code_challenge_method",
    )
)  # fmt: skip
_PROMPTS = frozenset({"none", "consent", "select_account"})


class RefusedRequest(Exception):
    """Google shows its own error page: nothing is sent to a redirect URI that cannot be trusted."""

    def __init__(self, error: str, description: str, *, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status


def _google(request: Request) -> Google:
    google: Google = request.app.state.sandbox.google
    return google


# --- the authorization request --------------------------------------------------------------------


def _read_request(request: Request) -> dict[str, str]:
    params: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in _ALLOWED:
            raise RefusedRequest(
                "invalid_request", f"Parameter not allowed for this message type: {name}"
            )
        if name in params:
            raise RefusedRequest(
                "invalid_request", f"OAuth 2 parameters can only have a single value: {name}"
            )
        params[name] = value
    for name in ("client_id", "redirect_uri", "response_type", "scope"):
        if not params.get(name):
            raise RefusedRequest("invalid_request", f"Missing required parameter: {name}")
    if params["client_id"] != CLIENT_ID:
        raise RefusedRequest("invalid_client", "The OAuth client was not found.", status=401)
    _check_redirect(params["redirect_uri"], request.app.state.callbacks)
    _check_choices(params)
    wrong = [s for s in _scopes(params["scope"]) if s not in IDENTITY and s not in SCOPES]
    if wrong:
        raise RefusedRequest(
            "invalid_scope", f"Some requested scopes were invalid. {{invalid={wrong}}}"
        )
    return params


def _check_redirect(redirect_uri: str, registered: frozenset[str]) -> None:
    target = urlsplit(redirect_uri)
    if target.scheme not in ("http", "https") or not target.netloc or target.fragment:
        raise RefusedRequest("invalid_request", "Invalid parameter value for redirect_uri")
    if registered and redirect_uri not in registered:
        raise RefusedRequest("redirect_uri_mismatch", "The redirect URI is not registered.")


def _check_choices(params: dict[str, str]) -> None:
    if params["response_type"] != "code":
        raise RefusedRequest(
            "unsupported_response_type", f"Invalid response_type: {params['response_type']}"
        )
    for name, choices in (
        ("access_type", ("online", "offline")),
        ("include_granted_scopes", ("true", "false")),
        ("enable_granular_consent", ("true", "false")),
        ("code_challenge_method", ("plain", "S256")),
    ):
        if name in params and params[name] not in choices:
            raise RefusedRequest("invalid_request", f"Invalid {name}: {params[name]}")
    if not _PROMPTS.issuperset(params.get("prompt", "").split()):
        raise RefusedRequest("invalid_request", f"Invalid prompt: {params['prompt']}")
    if params.get("code_challenge_method") and not params.get("code_challenge"):
        raise RefusedRequest("invalid_request", "Missing required parameter: code_challenge")


def _scopes(text: str) -> list[str]:
    """The scopes of a text, by their full names, each once."""
    return list(dict.fromkeys(RENAMED.get(scope, scope) for scope in text.split()))


def _back(params: dict[str, str], answer: dict[str, str]) -> Response:
    """To the application, keeping whatever query its URI has."""
    parts = urlsplit(params["redirect_uri"])
    state = {"state": params["state"]} if "state" in params else {}
    pairs = [*parse_qsl(parts.query, keep_blank_values=True), *state.items(), *answer.items()]
    return RedirectResponse(urlunsplit(parts._replace(query=urlencode(pairs))), 302)


async def show_consent(request: Request) -> Response:
    request.scope["sandbox.template"] = "/google/auth"
    try:
        params = _read_request(request)
    except RefusedRequest as refused:
        return google_pages.refused(refused.error, refused.description, refused.status)
    google = _google(request)
    if params.get("prompt") == "none":
        hinted = google.consents.get(params.get("login_hint", "").casefold())
        if hinted is None or not set(_scopes(params["scope"])) <= set(hinted.scopes):
            return _back(params, {"error": "interaction_required"})
        return _allow(google, params, hinted.account, _scopes(params["scope"]))
    return google_pages.consent(
        params, [s for s in _scopes(params["scope"]) if s in SCOPES], set(google.consents)
    )


async def decide(request: Request) -> Response:
    """The consent page's form: `decision` (allow or deny), `account`, and the ticked `scope`s.

    Without any `scope` field all are granted, unless `chosen` says that the boxes were shown.
    """
    request.scope["sandbox.template"] = "/google/auth"
    google = _google(request)
    try:
        params = _read_request(request)
        form = await request.form()
        if form.get("decision") != "allow":
            return _back(params, {"error": "access_denied"})
        account = str(form.get("account", "")).strip().casefold()
        if account not in NAMES:
            raise RefusedRequest("invalid_request", f"There is no Google account {account!r} here.")
    except RefusedRequest as refused:
        return google_pages.refused(refused.error, refused.description, refused.status)
    ticked = [str(scope) for scope in form.getlist("scope")]
    asked = _scopes(params["scope"])
    if ticked or "chosen" in form:
        asked = [scope for scope in asked if scope in IDENTITY or scope in ticked]
    if not asked:
        return _back(params, {"error": "access_denied"})
    return _allow(google, params, account, asked)


def _allow(google: Google, params: dict[str, str], account: str, scopes: list[str]) -> Response:
    before = google.consents.get(account)
    granted = scopes
    if before is not None and params.get("include_granted_scopes") == "true":
        granted = list(dict.fromkeys([*scopes, *before.scopes]))
    kept = list(dict.fromkeys([*scopes, *(before.scopes if before else ())]))
    google.consent(account, kept)
    # With a slash, as Google's codes have one: it must be escaped on its way.
    code = "4/0A" + secrets.token_urlsafe(48)
    google.codes[code] = Code(
        account=account,
        scopes=granted,
        redirect_uri=params["redirect_uri"],
        challenge=params.get("code_challenge", ""),
        challenge_method=params.get("code_challenge_method", "plain"),
        is_offline=params.get("access_type") == "offline",
        wants_refresh_token=before is None or "consent" in params.get("prompt", "").split(),
        nonce=params.get("nonce", ""),
        expires_at=google.now() + CODE_LIFETIME,
    )
    answer = {"code": code, "scope": " ".join(granted), "authuser": "0"}
    return _back(params, {**answer, "prompt": params.get("prompt", "consent")})


# --- the token endpoint ---------------------------------------------------------------------------


def _read_form(content_type: str, body: bytes) -> dict[str, str]:
    if content_type.split(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise TokenError("invalid_request", "The Content-Type must be that of a form.")
    form: dict[str, str] = {}
    for name, value in parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True):
        if name in form:
            raise TokenError("invalid_request", f"Parameter occurs more than once: {name}")
        form[name] = value
    return form


def _check_client(request: Request, form: dict[str, str]) -> None:
    """The client's ID and secret come in the header or in the body."""
    client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.casefold() == "basic":
        try:
            pair = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeError) as error:
            raise TokenError("invalid_client", "Unauthorized", status=401) from error
        client_id, _, secret = pair.partition(":")
    if not client_id:
        raise TokenError("invalid_request", "Could not determine client ID from request.")
    if client_id != CLIENT_ID:
        raise TokenError("invalid_client", "The OAuth client was not found.", status=401)
    if not secret:
        raise TokenError("invalid_request", "client_secret is missing.")
    if not secrets.compare_digest(secret.encode(), CLIENT_SECRET.encode()):
        raise TokenError("invalid_client", "Unauthorized", status=401)


def _check_verifier(code: Code, verifier: str) -> None:
    if not code.challenge:
        if verifier:
            raise TokenError("invalid_grant", "No code challenge was sent for this code.")
        return
    if not verifier:
        raise TokenError("invalid_grant", "Missing code verifier.")
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
    expected = digest.decode().rstrip("=") if code.challenge_method == "S256" else verifier
    if expected != code.challenge:
        raise TokenError("invalid_grant", "Invalid code verifier.")


def redeem(google: Google, form: dict[str, str]) -> dict[str, Any]:
    # Taken out first: after any failure the flow starts again.
    value = form["code"]
    code = google.codes.pop(value, None)
    if code is None:
        raise TokenError(
            "invalid_grant", "Bad Request" if value in google.used_codes else "Malformed auth code."
        )
    google.used_codes.add(value)
    if code.expires_at < google.now():
        raise TokenError("invalid_grant", "Bad Request")
    if form["redirect_uri"] != code.redirect_uri:
        raise TokenError("redirect_uri_mismatch", "Bad Request")
    _check_verifier(code, form.get("code_verifier", ""))
    refresh = None
    if code.is_offline and code.wants_refresh_token:
        refresh = google.issue_refresh(code.account, code.scopes)
    return _answer(google, code.account, code.scopes, refresh=refresh, nonce=code.nonce)


def _refresh(google: Google, form: dict[str, str]) -> dict[str, Any]:
    token = form["refresh_token"]
    if token in google.revoked:
        raise TokenError("invalid_grant", "Token has been expired or revoked.")
    consent = google.consent_of(token)
    if consent is None:
        raise TokenError("invalid_grant", "Bad Request")
    scopes = consent.refresh_tokens[token]
    if wanted := _scopes(form.get("scope", "")):
        if not set(wanted) <= set(scopes):
            raise TokenError("invalid_scope", "Some of the scopes were not granted.")
        scopes = wanted
    return _answer(google, consent.account, scopes)


def _answer(
    google: Google, account: str, scopes: list[str], *, refresh: str | None = None, nonce: str = ""
) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "access_token": google.issue_access(account, scopes),
        "expires_in": google.settings.token_lifetime,
        "scope": " ".join(scopes),
        "token_type": "Bearer",
    }
    if "openid" in scopes:
        answer["id_token"] = _id_token(google, account, with_email=EMAIL in scopes, nonce=nonce)
    if refresh is not None:
        answer["refresh_token"] = refresh
    return answer


def _id_token(google: Google, account: str, *, with_email: bool, nonce: str) -> str:
    """Unsigned (`alg: none`): a client has it straight from the token endpoint."""
    now = google.now()
    claims: dict[str, Any] = {
        "iss": "https://accounts.google.com", "azp": CLIENT_ID, "aud": CLIENT_ID,
        "sub": str(int(hashlib.sha256(account.encode()).hexdigest()[:16], 16)),
        "iat": now, "exp": now + 3_600,
    }  # fmt: skip
    if with_email:
        claims |= {"email": account, "email_verified": True, "hd": account.partition("@")[2]}
    if nonce:
        claims["nonce"] = nonce
    parts = [msgspec.json.encode(part) for part in ({"alg": "none", "typ": "JWT"}, claims)]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


async def exchange(request: Request) -> Response:
    request.scope["sandbox.template"] = "/google/token"
    try:
        form = _read_form(request.headers.get("content-type", ""), await request.body())
        grant_type = form.get("grant_type", "")
        needed = {
            "authorization_code": ("code", "redirect_uri"),
            "refresh_token": ("refresh_token",),
        }.get(grant_type)
        if needed is None:
            raise TokenError("unsupported_grant_type", f"Invalid grant_type: {grant_type}")
        _check_client(request, form)
        for name in needed:
            if not form.get(name):
                raise TokenError("invalid_request", f"Missing required parameter: {name}")
        act = redeem if "code" in needed else _refresh
        answer = act(_google(request), form)
    except TokenError as error:
        return error_answer(error)
    return json_answer(answer, headers={"Cache-Control": "no-store"})


async def revoke(request: Request) -> Response:
    """Any token ends the whole consent that it belongs to."""
    request.scope["sandbox.template"] = "/google/revoke"
    token = request.query_params.get("token", "")
    if not token:
        token = dict(parse_qsl((await request.body()).decode("utf-8", "replace"))).get("token", "")
    google = _google(request)
    access = google.access_of(token)
    holder = access or google.consent_of(token)
    if holder is None:
        return error_answer(TokenError("invalid_token", "Token expired or revoked"))
    google.revoke(holder.account)
    return json_answer({})


ROUTES: list[Route] = [
    Route("/google/auth", show_consent, methods=["GET"]),
    Route("/google/auth", decide, methods=["POST"]),
    Route("/google/token", exchange, methods=["POST"]),
    Route("/google/revoke", revoke, methods=["POST"]),
]
