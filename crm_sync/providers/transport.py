"""What the HTTP of all providers has in common: how to reach one, and how that can fail.

Messages name the service and the setting that holds its address, never an address itself.
"""

import math
import os
import time
from email.utils import parsedate_to_datetime
from typing import Any, Final

import certifi
import requests
from msgspec import Struct
from requests.utils import select_proxy
from urllib3 import PoolManager, ProxyManager, Timeout
from urllib3 import exceptions as urllib3_errors

from crm_sync.providers.errors import ProviderError, TransientError, UnexpectedAnswer

#: Seconds to connect, and between two pieces of an answer.
TIMEOUT: Final = (5.0, 30.0)
#: Threads that may call at once without waiting for, or throwing away, a connection.
POOL_SIZE: Final = 16
LONGEST_RETRY_AFTER: Final = 3600.0


class Service(Struct, frozen=True):
    """Whom we call: its name, and the setting that holds its address."""

    name: str
    setting: str


def pool_for(address: str, *, timeout: tuple[float, float]) -> PoolManager:
    """Connections for many threads at once; nothing is tried again and no redirect is followed.

    Proxies and certificates are those that `requests` finds in the environment, at a third of what
    its sessions cost for each call.
    """
    found = requests.Session().merge_environment_settings(address, {}, None, None, None)
    certificates = found["verify"] if isinstance(found["verify"], str) else certifi.where()
    connect, read = timeout
    options: dict[str, Any] = {
        "maxsize": POOL_SIZE,
        "retries": False,
        "timeout": Timeout(connect=connect, read=read),
        "ca_cert_dir" if os.path.isdir(certificates) else "ca_certs": certificates,
    }
    proxy = select_proxy(address, found["proxies"])
    return ProxyManager(proxy, **options) if proxy else PoolManager(**options)


# --- answers -------------------------------------------------------------------------------------


def slow_down(service: Service, status: int, wait: float | None) -> TransientError:
    return TransientError(
        f"{service.name} asked us to slow down.",
        code="rate-limited",
        status=status,
        retry_after=wait,
    )


def unavailable(
    service: Service, status: int | None = None, wait: float | None = None
) -> TransientError:
    said = f" (status {status})" if status else ""
    return TransientError(
        f"{service.name} is unavailable for now{said}.",
        status=status,
        retry_after=wait,
    )


def redirected(service: Service, status: int | None = None) -> UnexpectedAnswer:
    """Never followed: a redirect could carry a secret to another host."""
    return UnexpectedAnswer(
        f"The address of {service.name} redirects elsewhere. Check {service.setting}.",
        code="redirected",
        status=status,
    )


def not_json(service: Service, status: int | None = None) -> TransientError:
    """HTML and the like: something in between answered (a proxy, a firewall)."""
    return TransientError(
        f"Something other than {service.name} answered. "
        f"If this does not pass, check the address in {service.setting}.",
        code="not-json",
        status=status,
    )


def is_html(body: bytes) -> bool:
    return body[:256].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def retry_after(value: str | None) -> float | None:
    """Seconds from now, for both forms of the header; at most an hour, None if it says nothing."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
        seconds = max(seconds, 0.0)
    if math.isnan(seconds) or seconds < 0:
        return None
    return min(seconds, LONGEST_RETRY_AFTER)


# --- failures without an answer ------------------------------------------------------------------

#: All that a request without an answer can raise; requests lets some of urllib3's own through.
TRANSPORT_FAILURES: Final = (requests.RequestException, urllib3_errors.HTTPError)


def failure_of_transport(error: Exception, service: Service) -> ProviderError:
    if isinstance(error, requests.TooManyRedirects):
        return redirected(service)
    match _cause(error):
        case urllib3_errors.NameResolutionError():
            return TransientError(
                f"The name of {service.name}'s server was not found. "
                f"Check {service.setting} and this computer's network.",
                code="name-not-resolved",
            )
        case urllib3_errors.NewConnectionError():  # In the library a kind of time-out.
            return _unreachable(service)
        case urllib3_errors.TimeoutError() | requests.Timeout():
            return timed_out(service)
        case urllib3_errors.SSLError():
            return TransientError(
                f"The secure connection to {service.name} could not be set up. If this does not "
                f"pass, check {service.setting} and this computer's certificates.",
                code="tls-failed",
            )
        case urllib3_errors.LocationValueError():
            return _wrong_address(service)
        case urllib3_errors.HTTPError() | requests.ConnectionError():
            return _unreachable(service)
    return _wrong_address(service)


def _cause(error: Exception) -> object:
    """What went wrong beneath; requests wraps urllib3's errors, some of them twice."""
    inner = error.args[0] if isinstance(error, requests.RequestException) and error.args else error
    inner = getattr(inner, "reason", inner)
    return inner if isinstance(inner, Exception) else error


def timed_out(service: Service) -> TransientError:
    return TransientError(f"{service.name} did not answer in time.", code="timed-out")


def _unreachable(service: Service) -> TransientError:
    return TransientError(
        f"{service.name} could not be reached: the connection was refused or broke off.",
        code="unreachable",
    )


def _wrong_address(service: Service) -> UnexpectedAnswer:
    return UnexpectedAnswer(
        f"No request can be sent to the address in {service.setting}. Check how it is written.",
        code="wrong-address",
    )
