"""Authorising a mailbox at the provider: off with a state of our own, back with a code.

begin → the user gives (or denies) consent at the provider → complete. The state is random, kept in
the user's session, works once and not for long; what does not fit it changes nothing. Nothing is
stored before the whole answer is known to be this user's and this address's.
"""

import re
import secrets
from collections.abc import Mapping, MutableMapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings as django_settings
from django.db import transaction
from django.urls import reverse
from django.utils.crypto import constant_time_compare

from accounts import connecting, system_settings
from accounts.addresses import normalise
from accounts.models import Mailbox, User
from crm_sync.providers.errors import ProviderError
from crm_sync.providers.types import AuthorisationGateway, Grant

LIFETIME = timedelta(minutes=10)
_SESSION_KEY = "authorisation"

Session = MutableMapping[str, Any]


class AuthorisationFailed(Exception):
    """The message is a sentence for the user: what happened, and what to do next."""


@dataclass(frozen=True)
class Pending:
    """An authorisation under way, as the session holds it."""

    state: str
    user: int
    address: str
    provider: str
    expires_at: float


def redirect_uri() -> str:
    """Where the provider sends the browser back to: compared there byte for byte."""
    return django_settings.PUBLIC_URL + reverse("accounts:authorise-callback")


def expected_address(user: User) -> str:
    """The address that the user is about to authorise: of the settings, else of the profile."""
    mailbox = Mailbox.objects.filter(user=user).only("address").first()
    return (mailbox.address if mailbox else "") or normalise(user.email)


def begin(
    session: Session,
    user: User,
    *,
    provider: str,
    gateway: AuthorisationGateway,
    now: datetime,
) -> str:
    """Remember a new state in the session; the provider's address to send the browser to.

    A second beginning replaces the first. Raises ProviderError.
    """
    pending = Pending(
        state=secrets.token_urlsafe(32),
        user=user.pk,
        address=expected_address(user),
        provider=provider,
        expires_at=(now + LIFETIME).timestamp(),
    )
    url = gateway.authorisation_url(
        provider=provider,
        redirect_uri=redirect_uri(),
        state=pending.state,
        login_hint=pending.address,
    )
    session[_SESSION_KEY] = asdict(pending)
    return url


def complete(
    session: Session,
    user: User,
    answer: Mapping[str, str],
    *,
    gateway: AuthorisationGateway,
    now: datetime,
) -> Mailbox:
    """Take the provider's answer, exchange its code, and connect the mailbox.

    Raises AuthorisationFailed with nothing stored.
    """
    pending = _take(session, user, answer.get("state", ""), now)
    if error := answer.get("error", ""):
        raise AuthorisationFailed(_refusal(error, answer.get("error_code", "")))
    if pending is None:
        raise AuthorisationFailed(
            "This authorisation was already used, has expired, or was not begun in this browser. "
            "Nothing was changed. Click Authorize to begin again."
        )
    grant = _exchange(answer.get("code", ""), gateway)
    _check_address(grant, pending.address)
    return _connect(user, grant, now)


def _take(session: Session, user: User, state: str, now: datetime) -> Pending | None:
    """The pending authorisation that the state belongs to, taken out of the session."""
    stored = session.get(_SESSION_KEY)
    if not stored or not constant_time_compare(stored["state"], state):
        return None
    del session[_SESSION_KEY]
    pending = Pending(**stored)
    is_fresh = pending.user == user.pk and now.timestamp() < pending.expires_at
    return pending if is_fresh else None


def _refusal(error: str, code: str) -> str:
    if error in {"access_denied", "consent_required", "interaction_required", "login_required"}:
        return (
            "The mail provider was not given your consent, so nothing was connected or changed. "
            "Click Authorize and accept what is asked for."
        )
    shown = " ".join(re.findall(r"[\w.-]{1,40}", f"{error} {code}")[:2])
    return (
        f"The mail provider could not complete the authorisation ({shown}). Nothing was changed. "
        "Try again, or select a different provider."
    )


def _exchange(code: str, gateway: AuthorisationGateway) -> Grant:
    if not code:
        raise AuthorisationFailed(
            "The mail provider's answer held no code. Nothing was changed. Click Authorize to try "
            "again."
        )
    try:
        return gateway.exchange_code(code, redirect_uri=redirect_uri())
    except ProviderError as error:
        raise AuthorisationFailed(
            f"The authorisation could not be completed: {error} Nothing was changed. Click "
            "Authorize to try again."
        ) from error


def _check_address(grant: Grant, expected: str) -> None:
    given = normalise(grant.email)
    if given != expected:
        raise AuthorisationFailed(
            f"You signed in as {given or 'an unknown address'} at the provider, but "
            f"{expected} was to be authorised. Nothing was changed. Sign in there as {expected}, "
            "or enter the other address under User Name / Email Address, save, and authorise it."
        )


@transaction.atomic
def _connect(user: User, grant: Grant, now: datetime) -> Mailbox:
    """Store the grant and switch email sync on: somebody who authorises wants their mail read."""
    try:
        mailbox = connecting.adopt_grant(user, grant, now=now, settings=system_settings.current())
    except connecting.ConnectionRefused as refusal:
        raise AuthorisationFailed(str(refusal)) from refusal
    if not mailbox.email_enabled:
        mailbox.email_enabled = True
        mailbox.save(update_fields=["email_enabled"])
    return mailbox
