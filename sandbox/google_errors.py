"""Google's error shapes: those of its APIs, those of its token endpoint, and both for faults."""

from __future__ import annotations

from typing import Any

GOOGLE_PATHS = ("/gmail/", "/google/", "/batch")
GOOGLE_KINDS = ("rateLimitExceeded", "userRateLimitExceeded", "dailyLimitExceeded")
_STATUS_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    409: "ABORTED",
    410: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_NO_CREDENTIALS = (
    "Request is missing required authentication credential. Expected OAuth 2 access token, login "
    "cookie or other valid authentication credential. See "
    "https://developers.google.com/identity/sign-in/web/devconsole-project."
)


class GoogleError(Exception):
    """Answered as `{"error": {"code", "message", "errors": [{…}], "status", "details"?}}`."""

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        domain: str = "global",
        short: str | None = None,
        location: dict[str, str] | None = None,
        details: list[dict[str, Any]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """`short`: what the entry in `errors` says, where it differs from the whole."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.entry = {"message": short or message, "domain": domain, "reason": reason}
        self.entry |= location or {}
        self.details = details
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        error: dict[str, Any] = {
            "code": self.status,
            "message": self.message,
            "errors": [self.entry],
            "status": _STATUS_NAMES.get(self.status, "UNKNOWN"),
        }
        if self.details is not None:
            error["details"] = self.details
        return {"error": error}


class TokenError(Exception):
    """The token endpoint's shape: `{"error", "error_description"}`."""

    def __init__(self, error: str, description: str, *, status: int = 400) -> None:
        super().__init__(description)
        self.status = status
        self.headers: dict[str, str] = {}
        self.error = error
        self.description = description

    def body(self) -> dict[str, str]:
        return {"error": self.error, "error_description": self.description}


def invalid(message: str, reason: str = "invalidArgument") -> GoogleError:
    return GoogleError(400, reason, message)


def unreadable(violation: str, field: str | None = None) -> GoogleError:
    """What Google says of a query or body that does not fit the method."""
    entry = (
        {"description": violation}
        if field is None
        else {"field": field} | {"description": violation}
    )
    details = [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [entry]}]
    return GoogleError(400, "badRequest", violation, details=details)


def not_found() -> GoogleError:
    return GoogleError(404, "notFound", "Requested entity was not found.")


def no_credentials() -> GoogleError:
    return GoogleError(
        401,
        "required",
        _NO_CREDENTIALS,
        short="Login Required.",
        location={"location": "Authorization", "locationType": "header"},
        headers={"WWW-Authenticate": 'Bearer realm="https://accounts.google.com/"'},
    )


def bad_credentials() -> GoogleError:
    return GoogleError(
        401,
        "authError",
        _NO_CREDENTIALS.replace(
            "is missing required authentication credential",
            "had invalid authentication credentials",
        ),
        short="Invalid Credentials",
        location={"location": "Authorization", "locationType": "header"},
        headers={
            "WWW-Authenticate": 'Bearer realm="https://accounts.google.com/", error="invalid_token"'
        },
    )


def missing_scope() -> GoogleError:
    details = [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
            "domain": "googleapis.com",
            "metadata": {"service": "gmail.googleapis.com"},
        }
    ]
    return GoogleError(
        403,
        "insufficientPermissions",
        "Request had insufficient authentication scopes.",
        short="Insufficient Permission",
        details=details,
        headers={
            "WWW-Authenticate": (
                'Bearer realm="https://accounts.google.com/", error="insufficient_scope"'
            )
        },
    )


# --- faults ---------------------------------------------------------------------------------------


def is_google(path: str) -> bool:
    return path.startswith(GOOGLE_PATHS)


def of_fault(kind: str, path: str, retry_after: int | None) -> GoogleError | TokenError:
    """What goes wrong on purpose, in the shape of the endpoint that was asked."""
    status = 504 if kind == "timeout" else 403 if kind in GOOGLE_KINDS else int(kind)
    if path.startswith("/google/"):
        return _token_fault(status)
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    if kind in GOOGLE_KINDS or status == 429:
        reason = "rateLimitExceeded" if status == 429 else kind
        words = {
            "rateLimitExceeded": "Rate Limit Exceeded",
            "userRateLimitExceeded": "User Rate Limit Exceeded",
            "dailyLimitExceeded": "Daily Limit Exceeded",
        }[reason]
        if status == 429:
            words = "Too many concurrent requests for user"
        return GoogleError(status, reason, words, domain="usageLimits", headers=headers)
    if status == 401:
        return bad_credentials()
    if status == 403:
        return GoogleError(
            403, "domainPolicy", "The domain administrators have disabled Gmail apps."
        )
    if status in (404, 410):
        return GoogleError(status, "notFound", "Requested entity was not found.")
    reason, message = {
        500: ("backendError", "Internal error encountered."),
        503: ("backendError", "The service is currently unavailable."),
    }.get(status, ("backendError", "Deadline exceeded."))
    return GoogleError(status, reason, message, headers=headers)


def _token_fault(status: int) -> TokenError:
    if status == 401:
        return TokenError("invalid_client", "Unauthorized", status=401)
    if status < 500:
        return TokenError("invalid_request", "Bad Request", status=status)
    # google-auth tries again on this word, and only with JSON around it.
    return TokenError("internal_failure", "Backend Error", status=status)
