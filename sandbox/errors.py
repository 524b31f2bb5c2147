"""The error shapes of the real API, and small helpers that raise them."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """Answered as `{"request_id", "error": {"type", "message", "provider_error"?}}`."""

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        provider_error: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.provider_error = provider_error
        self.headers = headers or {}

    def body(self, request_id: str) -> dict[str, Any]:
        error: dict[str, Any] = {"type": self.kind, "message": self.message}
        if self.provider_error is not None:
            error["provider_error"] = self.provider_error
        return {"request_id": request_id, "error": error}


class OAuthError(Exception):
    """Answered in the other shape, that of the token and revoke endpoints."""

    def __init__(self, error: str, description: str, *, status: int = 400) -> None:
        super().__init__(description)
        self.status = status
        self.error = error
        self.description = description

    def body(self) -> dict[str, Any]:
        return {
            "error": self.error,
            "error_code": self.status,
            "error_description": self.description,
            "error_uri": "https://developer.nylas.com/docs/api/errors/400-response/",
        }


def bad_request(message: str, provider_error: dict[str, Any] | None = None) -> ApiError:
    return ApiError(400, "invalid_request_error", message, provider_error=provider_error)


def unauthorized() -> ApiError:
    return ApiError(401, "unauthorized", "Unauthorized")


def grant_expired() -> ApiError:
    # The body of this answer is not confirmed anywhere; clients must branch on the status.
    return ApiError(
        401,
        "unauthorized",
        "The grant has expired. Ask the user to authenticate again.",
        provider_error={
            "code": 401,
            "error": "invalid_grant",
            "message": "Request had invalid authentication credentials.",
        },
    )


def not_found(what: str = "requested object not found") -> ApiError:
    return ApiError(404, "not_found_error", what)
