"""Consent to read a Gmail mailbox, by google-auth-oauthlib: there and back again.

Offline access, PKCE with a verifier that stays with us, and the state checked. Every failure is a
ProviderError with a sentence that says what to do. Facts are quoted from the contract sheet, whose
source is https://developers.google.com/identity/protocols/oauth2/web-server.
"""

import os
import re
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from django.conf import settings
from google_auth_oauthlib.flow import Flow
from msgspec import Struct
from oauthlib.oauth2 import (
    AccessDeniedError,
    MismatchingStateError,
    MissingTokenError,
    OAuth2Error,
    ServerError,
    TemporarilyUnavailableError,
)

from crm_sync.providers import gmail
from crm_sync.providers.errors import ApplicationRejected, PermanentError, ProviderError
from crm_sync.providers.gmail_errors import (
    LABEL_MAIL,
    READ_MAIL,
    TOKENS,
    code_refused,
    failure_of_exchange,
    refused_by_policy,
    unreadable,
)
from crm_sync.providers.gmail_wire import require_json_object
from crm_sync.providers.transport import (
    TIMEOUT,
    TRANSPORT_FAILURES,
    failure_of_transport,
    unavailable,
)
from crm_sync.providers.types import IntakeAuthorisation, IntakeCredentials

READONLY: Final = "https://www.googleapis.com/auth/gmail.readonly"
MODIFY: Final = "https://www.googleapis.com/auth/gmail.modify"
#: What we ask leave for (contract sheet §2). Only the last two can be unticked.
SCOPES: Final = ("openid", "https://www.googleapis.com/auth/userinfo.email", READONLY, MODIFY)
_NEEDED: Final = {READONLY: READ_MAIL, MODIFY: LABEL_MAIL}

_POSSIBLE_CLIENT: Final = re.compile(r"[!-~]+")


class Begun(Struct, frozen=True):
    """Where to send the admin's browser, and what to keep until it is back, out of its reach."""

    url: str
    code_verifier: str

    def __repr__(self) -> str:
        return "Begun(…)"


def begin(
    client_id: str, client_secret: str, *, redirect_uri: str, state: str, login_hint: str = ""
) -> Begun:
    """`state` is the caller's: not to be guessed, and good for one answer only."""
    flow = _flow(client_id, client_secret, redirect_uri, scopes=SCOPES)
    # prompt=consent: Google gives a refresh token again only where it asks again (sheet §2).
    url, _ = flow.authorization_url(
        state=state, access_type="offline", prompt="consent", login_hint=login_hint
    )
    return Begun(url, flow.code_verifier)


def finish(
    client_id: str,
    client_secret: str,
    *,
    redirect_uri: str,
    code_verifier: str,
    answer_url: str,
    state: str,
) -> IntakeAuthorisation:
    """What the admin granted, once the browser is back with `answer_url`.

    Raises PermanentError “state-mismatch”, “consent-denied”, “code-refused”, “scopes-missing” or
    “no-refresh-token”; ApplicationRejected “client-rejected”, “redirect-uri-mismatch” or
    “api-not-enabled”; ReconnectRequired “refused-by-policy” or “no-mailbox”; and, where it is worth
    while to begin again in a moment, TransientError.
    """
    if not state:
        raise _state_mismatch()  # oauthlib would check nothing.
    # Without scopes: oauthlib raises a bare Warning where others are granted than were asked for,
    # and Google renames some of them.
    flow = _flow(
        client_id,
        client_secret,
        redirect_uri,
        scopes=None,
        state=state,
        code_verifier=code_verifier,
    )
    token = _exchange(flow, f"{redirect_uri}?{urlsplit(answer_url).query}")
    # No scopes in an answer means all that were asked for (RFC 6749, 5.1).
    scopes = frozenset(token.get("scope") or SCOPES)
    _require_needed(scopes)
    refresh_token = token.get("refresh_token")
    if not isinstance(refresh_token, str) or not refresh_token:
        raise PermanentError(
            "Google gave access for one hour only. In the Google account, under “Third-party apps "
            "and services”, remove this CRM, then begin again.",
            code="no-refresh-token",
        )
    # The first use of what we keep: it works, and tells whose mailbox it is.
    credentials = IntakeCredentials(client_id, client_secret, refresh_token)
    profile = gmail.from_settings(credentials).profile()
    return IntakeAuthorisation(refresh_token, profile.address, scopes)


def _flow(
    client_id: str,
    client_secret: str,
    redirect_uri: str,
    *,
    scopes: tuple[str, ...] | None,
    **more: str,
) -> Flow:
    if not all(_POSSIBLE_CLIENT.fullmatch(text) for text in (client_id, client_secret)):
        raise ApplicationRejected(
            "The client ID or the client secret is missing, or holds characters that no such "
            "value has. Copy both again from the Google console.",
            code="client-rejected",
        )
    config = {
        "client_id": client_id,
        "client_secret": client_secret,
        "auth_uri": settings.GOOGLE_AUTH_URI,
        "token_uri": settings.GOOGLE_TOKEN_URI,
    }
    _allow_plain_http(redirect_uri, settings.GOOGLE_AUTH_URI, settings.GOOGLE_TOKEN_URI)
    return Flow.from_client_config(
        {"web": config}, scopes=scopes, redirect_uri=redirect_uri, **more
    )


def _allow_plain_http(*addresses: str) -> None:
    """Only where the settings name plain http: the sandbox, and http://localhost for ourselves.

    oauthlib knows no other switch than this variable of the process. Google itself accepts no
    other address without TLS.
    """
    if any(address.startswith("http://") for address in addresses):
        os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"


def _exchange(flow: Flow, answer_url: str) -> dict[str, Any]:
    """The tokens, as Google gave them; `scope` has become a list."""
    session = flow.oauth2session
    session.max_redirects = 0
    session.register_compliance_hook("access_token_response", _require_success)
    try:
        token: dict[str, Any] = flow.fetch_token(authorization_response=answer_url, timeout=TIMEOUT)
    except OAuth2Error as error:
        raise _failure_of_oauth(error) from None
    except TRANSPORT_FAILURES as error:
        raise failure_of_transport(error, TOKENS) from None
    except (ValueError, TypeError, AttributeError, OverflowError):
        raise unreadable(TOKENS) from None
    return token


def _require_success(response: requests.Response) -> requests.Response:
    """Before oauthlib sees an answer: it ignores the status, and reads HTML as a form."""
    if response.status_code != 200:
        raise failure_of_exchange(response.status_code, response.headers, response.content)
    require_json_object(response.content, TOKENS)
    return response


def _failure_of_oauth(error: OAuth2Error) -> ProviderError:
    """What the browser brought back, or a success that held an error."""
    if isinstance(error, MismatchingStateError):
        return _state_mismatch()
    if isinstance(error, AccessDeniedError):
        return PermanentError(
            "Consent was denied on Google's page, so nothing was connected. To connect the "
            "mailbox, begin again and choose Continue.",
            code="consent-denied",
        )
    if isinstance(error, MissingTokenError):
        return unreadable(TOKENS)
    if isinstance(error, ServerError | TemporarilyUnavailableError):
        return unavailable(TOKENS)
    if error.error in {"admin_policy_enforced", "org_internal"}:
        return refused_by_policy()
    return code_refused()


def _require_needed(scopes: frozenset[str]) -> None:
    missing = [permission for scope, permission in _NEEDED.items() if scope not in scopes]
    if missing:
        raise PermanentError(
            f"On Google's page this CRM was not allowed to {' and to '.join(missing)}. Begin again "
            "and leave every box ticked.",
            code="scopes-missing",
        )


def _state_mismatch() -> PermanentError:
    return PermanentError(
        "This answer does not belong to an authorisation that was begun here, or it came too late. "
        "Please begin again.",
        code="state-mismatch",
    )
