"""How requests reach Gmail: with an access token that all threads share, and with our errors.

google-api-python-client writes the requests; by itself it would send them with httplib2, which is
not for several threads (#626), needs another package behind a proxy, follows redirects, sends
again by itself, and refuses some large messages that pack well. What it asks of a replacement is
one method.
"""

import re
from collections.abc import Mapping
from threading import Lock
from typing import Any, Final

import httplib2
from google.auth.exceptions import GoogleAuthError
from google.oauth2.credentials import Credentials
from urllib3 import BaseHTTPResponse, PoolManager

from crm_sync.providers.errors import ProviderError
from crm_sync.providers.gmail_errors import (
    GMAIL,
    LABEL_MAIL,
    READ_MAIL,
    TOKENS,
    failure_of_answer,
    failure_of_refresh,
    unreadable,
)
from crm_sync.providers.gmail_wire import require_json_object
from crm_sync.providers.transport import (
    TRANSPORT_FAILURES,
    Service,
    failure_of_transport,
    pool_for,
)
from crm_sync.providers.types import IntakeCredentials

_POSSIBLE_TOKEN: Final = re.compile(r"[!-~]+")


class GoogleHttp:
    """Stands in for httplib2 in `HttpRequest.execute(http=…)`; for any number of threads.

    Raises a ProviderError for all but a success. Not to be used across a fork.
    """

    def __init__(
        self,
        credentials: IntakeCredentials,
        *,
        api_endpoint: str,
        token_uri: str,
        timeout: tuple[float, float],
    ) -> None:
        self._pool = pool_for(api_endpoint, timeout=timeout)
        self._token = AccessToken(credentials, token_uri=token_uri, timeout=timeout)

    def request(
        self,
        uri: str,
        method: str = "GET",
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
        **_unused: Any,
    ) -> tuple[httplib2.Response, bytes]:
        token = self._token.get()
        response = self._send(method, uri, body, headers, token)
        if response.status == 401:
            # It may have ended early; once, as google-auth would do (contract sheet §3).
            token = self._token.get(refused=token)
            response = self._send(method, uri, body, headers, token)
        if not 200 <= response.status < 300:
            raise failure_of_answer(
                response.status,
                response.headers,
                response.data,
                permission=READ_MAIL if method == "GET" else LABEL_MAIL,
            )
        return httplib2.Response({"status": str(response.status)}), response.data

    def _send(
        self,
        method: str,
        uri: str,
        body: str | None,
        headers: Mapping[str, str] | None,
        token: str,
    ) -> BaseHTTPResponse:
        authorised = {**(headers or {}), "Authorization": f"Bearer {token}"}
        return _answer(self._pool, GMAIL, method, uri, body, authorised)


class AccessToken:
    """The access token of one gateway: one thread asks for it, the others wait and share it."""

    def __init__(
        self, credentials: IntakeCredentials, *, token_uri: str, timeout: tuple[float, float]
    ) -> None:
        # Not by `from_authorized_user_info`, which puts Google's own token_uri in (sheet §1).
        self._credentials = Credentials(  # type: ignore[no-untyped-call]
            None,
            refresh_token=credentials.refresh_token,
            token_uri=token_uri,
            client_id=credentials.client_id,
            client_secret=credentials.client_secret,
        )
        self._pool = pool_for(token_uri, timeout=timeout)
        self._lock = Lock()
        self._attempts = 0
        #: What the last attempt ended in: a token or a failure.
        self._outcome: str | ProviderError = ""

    def get(self, *, refused: str | None = None) -> str:
        """One that is good for some minutes, and not the one that Gmail has just refused.

        Whoever waited while another thread asked shares the outcome, be it a failure.
        """
        attempts = self._attempts
        with self._lock:
            if self._attempts == attempts and self._is_needed(refused):
                self._outcome = self._ask()
                self._attempts += 1
            outcome = self._outcome
        if isinstance(outcome, ProviderError):
            raise outcome.with_traceback(None)
        return outcome

    def _is_needed(self, refused: str | None) -> bool:
        is_failure = isinstance(self._outcome, ProviderError)
        return is_failure or self._outcome == refused or not self._credentials.valid

    def _ask(self) -> str | ProviderError:
        try:
            self._credentials.refresh(self._send)  # type: ignore[no-untyped-call]
        except ProviderError as failure:
            return failure
        except (GoogleAuthError, ValueError, TypeError, LookupError, OverflowError):
            return unreadable(TOKENS)
        token = self._credentials.token
        if not isinstance(token, str) or not _POSSIBLE_TOKEN.fullmatch(token):
            return unreadable(TOKENS)
        return token

    def _send(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        **_unused: Any,
    ) -> BaseHTTPResponse:
        """What google-auth calls. All failures end here: it would sleep in a worker and ask thrice
        for a 5xx, and tell HTML from a refusal only by the text (contract sheet §3).
        """
        response = _answer(self._pool, TOKENS, method, url, body, headers)
        if response.status != 200:
            raise failure_of_refresh(response.status, response.headers, response.data)
        require_json_object(response.data, TOKENS)
        return response


def _answer(
    pool: PoolManager,
    service: Service,
    method: str,
    url: str,
    body: str | bytes | None,
    headers: Mapping[str, str] | None,
) -> BaseHTTPResponse:
    """One answer, whatever its status. Raises for what never became an answer."""
    try:
        return pool.request(method, url, body=body, headers=headers, redirect=False)
    except TRANSPORT_FAILURES as error:
        raise failure_of_transport(error, service) from None
