"""What the providers' calendars differ in, by the notes of the API reference ("not supported for").

What a provider does not know is a 400 here: a client that asks for it anywhere finds out.
"""

from __future__ import annotations

from typing import Any

from sandbox.errors import ApiError, bad_request

YEAR = 366 * 86_400
_EVERYBODY = frozenset({"google", "microsoft", "ews", "icloud", "virtual-calendar"})
_KNOWN_TO: dict[str, frozenset[str]] = {
    "updated_after": frozenset({"google", "microsoft", "ews"}),
    "updated_before": frozenset({"google", "microsoft", "ews"}),
    "show_cancelled": _EVERYBODY - {"icloud", "ews"},
    "event_type": frozenset({"google"}),
    "ical_uid": _EVERYBODY - {"icloud"},
    "busy": _EVERYBODY - {"icloud"},
    "master_event_id": _EVERYBODY - {"icloud"},
    "attendees": _EVERYBODY - {"virtual-calendar"},
}
#: Beside a metadata_pair nothing else may filter.
_BESIDE_METADATA = frozenset({"metadata_pair", "calendar_id", "limit", "page_token", "select"})
#: These write to the participants whatever they are told.
ALWAYS_NOTIFYING = frozenset({"microsoft", "icloud"})


def require_calendars(provider: str) -> None:
    if provider not in _EVERYBODY:
        raise bad_request(f"calendars are not supported for the provider {provider!r}")


def check_query(provider: str, params: dict[str, Any]) -> None:
    for name in params:
        if provider not in _KNOWN_TO.get(name, _EVERYBODY):
            raise bad_request(f"query parameter {name!r} is not supported for {provider!r}")
    if "metadata_pair" in params and (others := params.keys() - _BESIDE_METADATA):
        raise bad_request(f"metadata_pair cannot be combined with {', '.join(sorted(others))}")
    check_calendar_id(provider, params.get("calendar_id"))


def check_calendar_id(provider: str, calendar_id: str | None) -> None:
    if calendar_id == "primary" and provider == "icloud":
        raise bad_request("calendar_id 'primary' is not supported for 'icloud'")


def check_window(provider: str, start: int, end: int) -> None:
    if start > end:
        raise bad_request("start must not be later than end (end is a month from now by default)")
    if provider == "icloud" and end - start > YEAR:
        raise bad_request("for 'icloud' start and end must not be more than a year apart")


def read_only(provider: str, what: str) -> ApiError:
    """A write that the provider refuses, in its own words: these are no missing scopes."""
    theirs: dict[str, Any] = {"code": "ErrorAccessDenied", "message": "Access is denied."}
    if provider == "google":
        reason = "You need to have writer access to this calendar."
        theirs = {
            "code": 403,
            "errors": [{"domain": "calendar", "reason": "requiredAccessLevel", "message": reason}],
            "message": reason,
        }
    return ApiError(
        403, "provider_error", f"The {what} is read-only.", provider_error={"error": theirs}
    )
