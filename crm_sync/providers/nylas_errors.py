"""Every way a call to Nylas can fail, as our errors (contract sheet §7, §10; design, “Failure
classes”).

Messages are ours alone: never the provider's words, an address or a URL. The original exceptions
hold URLs with addresses in them, so they are left behind (`from None`), for logs show causes.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import requests
from nylas.models.errors import (
    NylasApiError,
    NylasOAuthError,
    NylasSdkTimeoutError,
)

from crm_sync.providers import transport
from crm_sync.providers.errors import (
    ApplicationRejected,
    PermanentError,
    ProviderError,
    ReconnectRequired,
    TransientError,
    UnexpectedAnswer,
)
from crm_sync.providers.transport import TRANSPORT_FAILURES, Service, is_html, retry_after

NYLAS: Final = Service("Nylas", "NYLAS_API_URI")

# --- answers with an error status ----------------------------------------------------------------


def failure_of_status(status: int, headers: Mapping[str, str] | None = None) -> ProviderError:
    """What a status means for one request that concerns no particular mailbox or item.

    A 401 or 403 here is about our key. Callers that know more (a grant, a code) decide first.
    """
    wait = retry_after(headers.get("Retry-After") if headers else None)
    if status == 429:
        return transport.slow_down(NYLAS, status, wait)
    if status in {408, 425} or status >= 500:
        return TransientError(
            f"Nylas, or the mail service behind it, is unavailable for now (status {status}).",
            status=status,
            retry_after=wait,
        )
    if status in {401, 403}:
        return ApplicationRejected(
            "Nylas does not accept this application's key. Check NYLAS_API_KEY, and that "
            "NYLAS_API_URI is the address of the region where the key was made.",
            status=status,
        )
    if 300 <= status < 400:
        return transport.redirected(NYLAS, status)
    return PermanentError(f"Nylas refused this request (status {status}).", status=status)


def failure_of_answer(response: requests.Response) -> ProviderError:
    """The same for an answer at hand. A page of HTML is no refusal by Nylas: it comes from
    something in between (a proxy, a firewall), so neither a grant nor an item is given up for it.
    """
    failure = failure_of_status(response.status_code, response.headers)
    is_refusal = response.status_code >= 400 and not isinstance(failure, TransientError)
    return not_json(response.status_code) if is_refusal and is_html(response.content) else failure


_INSUFFICIENT_SCOPES = re.compile(rb"insufficient[_ ](?:authentication[_ ])?scope", re.IGNORECASE)
_QUOTA = re.compile(rb"quota_?exceeded|rate_?limit", re.IGNORECASE)


def says_insufficient_scopes(body: bytes) -> bool:
    """Nylas's own type, or Google's words inside `provider_error`."""
    return _INSUFFICIENT_SCOPES.search(body) is not None


def says_quota(body: bytes) -> bool:
    """Google reports some of its rate limits as 403, which must not cost anybody a grant."""
    return _QUOTA.search(body) is not None


# --- failures without a status -------------------------------------------------------------------


def not_json(status: int | None = None) -> TransientError:
    return transport.not_json(NYLAS, status)


def grant_rejected(status: int) -> ReconnectRequired:
    return ReconnectRequired(
        "The mailbox no longer accepts our access. It must be authorised again.", status=status
    )


def grant_unknown(status: int) -> ReconnectRequired:
    return ReconnectRequired(
        "Nylas no longer knows this mailbox. It must be authorised again.",
        code="grant-unknown",
        status=status,
    )


def calendar_scopes_missing(status: int | None) -> ReconnectRequired:
    return ReconnectRequired(
        "The mailbox was authorised without permission to read and change its calendars. "
        "It must be authorised again, with the calendar allowed.",
        code="calendar-scopes-missing",
        status=status,
    )


def calendars_unsupported(status: int | None) -> PermanentError:
    return PermanentError(
        "This mailbox has no calendars that can be synced: its mail service offers none. "
        "Switch calendar sync off for it.",
        code="calendars-unsupported",
        status=status,
    )


def failure_of_transport(error: Exception) -> ProviderError:
    return transport.failure_of_transport(error, NYLAS)


def timed_out() -> TransientError:
    return transport.timed_out(NYLAS)


# --- the SDK -------------------------------------------------------------------------------------


@contextmanager
def sdk_failures() -> Iterator[None]:
    """Wrap one call of the SDK, and nothing else: it also fails with bare Python exceptions."""
    try:
        yield
    except (NylasApiError, NylasOAuthError) as error:
        raise failure_of_status(error.status_code or 0, error.headers) from None
    except NylasSdkTimeoutError:
        raise timed_out() from None
    except requests.JSONDecodeError:
        # HTML or nothing; the SDK does not say under which status.
        raise not_json() from None
    except TRANSPORT_FAILURES as error:
        raise failure_of_transport(error) from None
    except AttributeError:
        # An error answer whose `error` or `provider_error` is a text. Its status is lost: it may
        # be a 429 as well as a 400, so the failure that does no harm is “later”.
        raise TransientError(
            "Nylas reported an error in a form that could not be read.", code="unreadable-error"
        ) from None
    except (LookupError, TypeError, ValueError, RuntimeWarning):
        # A success without its required fields (RuntimeWarning: only under `-W error`).
        raise UnexpectedAnswer("Nylas answered, but not in the form we know.") from None
