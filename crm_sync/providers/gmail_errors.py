"""Every way a call to Google can fail, as our errors (contract sheet §2, §3, §6; design, “Failure
classes”).

Messages are ours alone: never Google's words, an address, a token or a URL.
"""

import json
import re
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from crm_sync.providers.errors import (
    ApplicationRejected,
    PermanentError,
    ProviderError,
    ReconnectRequired,
    UnexpectedAnswer,
)
from crm_sync.providers.transport import (
    LONGEST_RETRY_AFTER,
    Service,
    is_html,
    not_json,
    redirected,
    retry_after,
    slow_down,
    unavailable,
)

GMAIL: Final = Service("Gmail", "GMAIL_API_ENDPOINT")
TOKENS: Final = Service("Google", "GOOGLE_TOKEN_URI")

#: What we ask leave for, in the words of our messages.
READ_MAIL: Final = "read mail"
LABEL_MAIL: Final = "label mail"

# --- answers of the Gmail API --------------------------------------------------------------------


def failure_of_answer(
    status: int, headers: Mapping[str, str], body: bytes, *, permission: str
) -> ProviderError:
    """What an answer with an error status means; whoever asked knows what a 400 or 404 is about.

    `permission` is what the request needed. By the time that a 401 arrives here, a fresh access
    token has been refused too.
    """
    failure = _failure_of_any(status, headers, body, GMAIL)
    if failure is not None:
        return failure
    if status == 401:
        return access_rejected(status)
    if status == 403:
        return _failure_of_403(headers, body, permission)
    if status == 400 and "failedprecondition" in _reasons(body):
        return ReconnectRequired(
            "This Google account has no Gmail mailbox, or it is switched off. Ask whoever looks "
            "after the account, then authorise the connection again.",
            code="no-mailbox",
            status=status,
        )
    return PermanentError(f"Gmail refused this request (status {status}).", status=status)


def _failure_of_any(
    status: int, headers: Mapping[str, str], body: bytes, service: Service
) -> ProviderError | None:
    """What a status means at every address of Google's; None where it is a refusal of theirs.

    A page of HTML is no refusal by Google: neither a mailbox nor an item is given up for it.
    """
    if status == 429:
        return slow_down(service, status, _wait(headers, body))
    if status in {408, 425} or status >= 500:
        return unavailable(service, status, _wait(headers, body))
    if 300 <= status < 400:
        return redirected(service, status)
    return not_json(service, status) if is_html(body) else None


def _failure_of_403(headers: Mapping[str, str], body: bytes, permission: str) -> ProviderError:
    reasons = _reasons(body)
    if reasons & {"accessnotconfigured", "service_disabled"}:
        return ApplicationRejected(
            "The Gmail API is switched off for this client ID. Enable the Gmail API in the Google "
            "console, in the project that the client ID belongs to.",
            code="api-not-enabled",
            status=403,
        )
    if reasons & {"insufficientpermissions", "access_token_scope_insufficient"}:
        return ReconnectRequired(
            f"Google was not asked, or did not agree, to let this CRM {permission}. Authorise the "
            "connection again and leave every box on Google's page ticked.",
            code="insufficient-scopes",
            status=403,
        )
    if _says_quota(body):
        return slow_down(GMAIL, 403, _wait(headers, body))
    if "error" not in _json_object(body):
        return not_json(GMAIL, 403)
    if "domainpolicy" in reasons:
        return refused_by_policy(403)
    return ReconnectRequired(
        "Google refuses us this mailbox. Authorise the connection again.",
        code="access-refused",
        status=403,
    )


def access_rejected(status: int) -> ReconnectRequired:
    """The causes are revoking, six months without use, a new password, and more (sheet §3)."""
    return ReconnectRequired(
        "Google no longer accepts our access to this mailbox. Authorise the connection again.",
        status=status,
    )


def not_gmail(status: int) -> UnexpectedAnswer:
    return UnexpectedAnswer(
        "Gmail's service was not found at this address. Check GMAIL_API_ENDPOINT.",
        code="wrong-address",
        status=status,
    )


def refused_by_policy(status: int | None = None) -> ReconnectRequired:
    return ReconnectRequired(
        "The administrator of this Google organisation does not let this CRM use Gmail. Ask them "
        "to trust its client ID, then authorise the connection again.",
        code="refused-by-policy",
        status=status,
    )


# --- answers of the token endpoint ---------------------------------------------------------------


def failure_of_refresh(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """Google would not give an access token for the refresh token that we hold."""
    return _failure_of_token(status, headers, body, access_rejected(status))


def failure_of_exchange(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """Google would not give tokens for the code that the consent ended in."""
    return _failure_of_token(status, headers, body, code_refused(status))


def _failure_of_token(
    status: int, headers: Mapping[str, str], body: bytes, refusal: ProviderError
) -> ProviderError:
    """`refusal` is what it means that the code, or the refresh token, is refused.

    By Google's word, not by the status: it answers 400, 401 and 403 for the same words.
    """
    failure = _failure_of_any(status, headers, body, TOKENS)
    if failure is not None:
        return failure
    match _oauth_word(body):
        case "":
            return not_json(TOKENS, status)
        case "invalid_grant":
            return refusal
        case "invalid_client" | "unauthorized_client" | "deleted_client" | "disabled_client":
            return client_rejected(status)
        case "redirect_uri_mismatch":
            return ApplicationRejected(
                "Google does not know the address that it should return to. Add it to the "
                "client's authorised redirect URIs in the Google console, then begin again.",
                code="redirect-uri-mismatch",
                status=status,
            )
        case "admin_policy_enforced" | "access_denied" | "org_internal":
            return refused_by_policy(status)
        case "internal_failure" | "server_error" | "temporarily_unavailable":
            return unavailable(TOKENS, status, _wait(headers, body))
    if _says_quota(body):
        return slow_down(TOKENS, status, _wait(headers, body))
    return UnexpectedAnswer(
        f"Google refused to authorise us in a way that we do not know (status {status}).",
        status=status,
    )


def client_rejected(status: int | None = None) -> ApplicationRejected:
    return ApplicationRejected(
        "Google does not accept the client ID or the client secret. Check both against the Google "
        "console.",
        code="client-rejected",
        status=status,
    )


def code_refused(status: int | None = None) -> PermanentError:
    return PermanentError(
        "Google did not accept the authorisation: it was used before or took too long. "
        "Please begin again.",
        code="code-refused",
        status=status,
    )


def _oauth_word(body: bytes) -> str:
    """The `error` of an OAuth answer, "" where it is none."""
    answer = _json_object(body)
    word = answer.get("error")
    return word.casefold() if isinstance(word, str) else ""


# --- what Google says in a body ------------------------------------------------------------------

_QUOTA = re.compile(rb"quota|limit[ _]?exceeded|resource_exhausted", re.IGNORECASE)
_RETRY_AFTER = re.compile(rb"retry after (\d{4}-\d\d-\d\dT[\d:.]+Z)", re.IGNORECASE)


def _says_quota(body: bytes) -> bool:
    """Rate limits also come as 403, and not always with one of the documented reasons."""
    return _QUOTA.search(body) is not None


def _wait(headers: Mapping[str, str], body: bytes) -> float | None:
    """Seconds; Gmail tells the moment in the message (“User-rate limit exceeded. Retry after …”)
    where other services send the header.
    """
    if (seconds := retry_after(headers.get("Retry-After"))) is not None:
        return seconds
    found = _RETRY_AFTER.search(body)
    if found is None:
        return None
    try:
        moment = datetime.fromisoformat(found[1].decode())
    except ValueError:
        return None
    return min(max(moment.timestamp() - time.time(), 0.0), LONGEST_RETRY_AFTER)


def _reasons(body: bytes) -> frozenset[str]:
    """The causes, case-folded: of the older form (`errors`), of the newer (`details`) and both's
    `status`.
    """
    error = _json_object(body).get("error")
    if not isinstance(error, dict):
        return frozenset()
    entries = [error.get("errors"), error.get("details")]
    found = [
        entry for entry_list in entries if isinstance(entry_list, list) for entry in entry_list
    ]
    words = [entry.get("reason") for entry in found if isinstance(entry, dict)]
    return frozenset(w.casefold() for w in (*words, error.get("status")) if isinstance(w, str))


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def unreadable(service: Service) -> UnexpectedAnswer:
    return UnexpectedAnswer(f"{service.name} answered, but not in the form we know.")
