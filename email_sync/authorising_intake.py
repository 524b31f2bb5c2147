"""Consent to read the monitored mailbox: off to Google with a state of our own, back with a code.

begin → the admin gives (or denies) consent at Google → complete. State and PKCE verifier are kept
in the session on the server, work once and not for long; what does not fit them changes nothing.
"""

import secrets
from collections.abc import MutableMapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.crypto import constant_time_compare
from django.views.decorators.debug import sensitive_variables

from accounts.models import User
from crm_sync.providers import google_oauth
from crm_sync.providers.errors import ProviderError, TransientError
from email_sync import connecting_intake
from email_sync.models import IntakeConnection

LIFETIME = timedelta(minutes=10)
_SESSION_KEY = "intake authorisation"

Session = MutableMapping[str, Any]


class AuthorisationFailed(Exception):
    """The message is a sentence for the admin: what happened, and what to do next.

    `connection` is whose page it belongs on; None where the answer belongs to none.
    """

    def __init__(self, message: str, connection: IntakeConnection | None) -> None:
        super().__init__(message)
        self.connection = connection


@dataclass(frozen=True)
class Pending:
    """An authorisation under way, as the session holds it."""

    state: str
    code_verifier: str
    user: int
    connection: int
    expires_at: float


def redirect_uri() -> str:
    """Where Google sends the browser back to: compared there byte for byte."""
    return settings.PUBLIC_URL + reverse("monitor:oauth-callback")


@sensitive_variables()
def begin(session: Session, connection: IntakeConnection, *, by: User, now: datetime) -> str:
    """Remember a new state in the session; Google's address to send the browser to.

    A second beginning replaces the first. Raises ProviderError.
    """
    state = secrets.token_urlsafe(32)
    begun = google_oauth.begin(
        connection.client_id,
        connection.client_secret,
        redirect_uri=redirect_uri(),
        state=state,
        login_hint=connection.expected_address or connection.address,
    )
    session[_SESSION_KEY] = asdict(
        Pending(state, begun.code_verifier, by.pk, connection.pk, (now + LIFETIME).timestamp())
    )
    return begun.url


@sensitive_variables()
def complete(
    session: Session, *, answer_url: str, answer_state: str, by: User, now: datetime
) -> IntakeConnection:
    """Take Google's answer, exchange its code and store what was granted.

    `answer_url` is the whole address that Google sent the browser to. Raises AuthorisationFailed
    with nothing stored.
    """
    pending = _take(session, answer_state, by=by, now=now)
    known = IntakeConnection.objects.filter(pk=pending.connection if pending else 0)
    connection = known.first()
    if pending is None or connection is None:
        raise AuthorisationFailed(
            "This authorisation was already used, has expired, or was not begun in this browser. "
            "Nothing was changed. Open the connection and choose Authorize to begin again.",
            None,
        )
    try:
        given = google_oauth.finish(
            connection.client_id,
            connection.client_secret,
            redirect_uri=redirect_uri(),
            code_verifier=pending.code_verifier,
            answer_url=answer_url,
            state=pending.state,
        )
        connecting_intake.authorise(connection, given, by=by, now=now)
    except TransientError as error:
        raise AuthorisationFailed(
            f"{error} The access stays as it was. Choose Authorize to try again in a moment.",
            connection,
        ) from None
    except (ProviderError, connecting_intake.Refused) as error:
        raise AuthorisationFailed(f"{error} The access stays as it was.", connection) from None
    return connection


def _take(session: Session, state: str, *, by: User, now: datetime) -> Pending | None:
    """The pending authorisation that the state belongs to, taken out of the session."""
    stored = session.get(_SESSION_KEY)
    if not stored or not constant_time_compare(stored["state"], state):
        return None
    del session[_SESSION_KEY]
    pending = Pending(**stored)
    is_fresh = pending.user == by.pk and now.timestamp() < pending.expires_at
    return pending if is_fresh else None
