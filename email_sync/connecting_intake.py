"""Connecting the monitored Gmail mailbox, from the browser's callback or from the command line."""

from datetime import datetime
from typing import Any

from django.db import transaction

from accounts.addresses import normalise
from accounts.models import User
from accounts.rules import Evidence, Failure, State, derive_state
from crm_sync.providers.types import IntakeAuthorisation, IntakeCredentials
from email_sync.models import IntakeConnection
from email_sync.tasks import queue_intake

#: How far a mailbox was read; forgotten where the connection turns to another one.
_READ_SO_FAR: dict[str, Any] = {
    "history_id": "",
    "unlabelled": [],
    "listed_at": None,
    "backfilled_at": None,
    "last_success_at": None,
}
#: What went wrong with the former access; forgotten with every new one.
_TROUBLE: dict[str, Any] = {
    "rejected_at": None,
    "rejection": "",
    "failure": "",
    "failure_code": "",
    "failure_text": "",
    "failed_at": None,
    "failure_count": 0,
    "stopped_at": None,
    "label_failure": "",
    "problems": [],
}
#: A pass that runs without its lease stores nothing more and gives up.
_INTERRUPTED: dict[str, Any] = {"lease_holder": "", "lease_until": None, "queued_at": None}


class Refused(Exception):
    """The connection cannot be made like this; the message is a sentence for the admin."""


def authorise(
    connection: IntakeConnection, given: IntakeAuthorisation, *, by: User | None, now: datetime
) -> None:
    """Store what Google granted for a saved connection and make its first pass due now.

    The same mailbox again keeps what was read. Raises Refused, with nothing changed, for another
    mailbox than the one that the admin meant, or one that another connection reads.
    """
    address = normalise(given.address)
    if connection.expected_address and address != connection.expected_address:
        raise Refused(
            f"Consent was given for {address}, but this connection is for "
            f"{connection.expected_address}. Sign in to that mailbox and authorise again."
        )
    with transaction.atomic():
        others = IntakeConnection.objects.select_for_update().exclude(pk=connection.pk)
        if other := others.filter(address=address).first():
            raise Refused(f"This mailbox is already connected as “{other.name}”.")
        changes = {
            **_TROUBLE,
            **_INTERRUPTED,
            **({} if connection.address in {"", address} else _READ_SO_FAR),
            "client_id": connection.client_id,
            "client_secret": connection.client_secret,
            "refresh_token": given.refresh_token,
            "address": address,
            "authorised_at": now,
            "authorised_by": by,
            "next_due_at": now,
        }
        _write(connection, changes)
    queue_intake([connection.pk])


def connect(
    credentials: IntakeCredentials, address: str, *, by: User | None, now: datetime
) -> IntakeConnection:
    """Make or renew the connection of a mailbox whose credentials exist already, and select it."""
    address = normalise(address)
    connection = IntakeConnection.objects.filter(address=address).first()
    if connection is None:
        connection, _ = IntakeConnection.objects.get_or_create(
            name=address[:60], defaults={"description": "Connected on the command line"}
        )
    connection.client_id = credentials.client_id
    connection.client_secret = credentials.client_secret
    given = IntakeAuthorisation(credentials.refresh_token, address, frozenset())
    authorise(connection, given, by=by, now=now)
    select(connection, now=now)
    return connection


def disconnect(connection: IntakeConnection) -> None:
    """Forget the access to the mailbox and read it no more; what was logged stays."""
    changes = {**_TROUBLE, **_INTERRUPTED, **_READ_SO_FAR}
    changes |= {"refresh_token": "", "address": "", "authorised_at": None, "authorised_by": None}
    changes |= {"is_selected": False, "next_due_at": None}
    _write(connection, changes)


def select(connection: IntakeConnection, *, now: datetime) -> None:
    """Read this connection's mailbox from now on, and no other."""
    with transaction.atomic():
        others = IntakeConnection.objects.filter(is_selected=True).exclude(pk=connection.pk)
        others.update(is_selected=False, **_INTERRUPTED)
        _write(connection, {"is_selected": True})
    want_pass(connection, now=now)


def deselect(connection: IntakeConnection) -> None:
    """Read the mailbox no more; the access to it stays."""
    _write(connection, {"is_selected": False, **_INTERRUPTED})


def want_pass(connection: IntakeConnection, *, now: datetime) -> None:
    """Make a pass due now, also after a stop, and wake a worker."""
    _write(
        connection, {"next_due_at": now, "stopped_at": None, "failure_count": 0, "queued_at": None}
    )
    queue_intake([connection.pk])


def _write(connection: IntakeConnection, changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        setattr(connection, name, value)
    connection.save(update_fields=list(changes))


def state_of(connection: IntakeConnection) -> State:
    """The connection's state, in the same words as a mailbox's."""
    return derive_state(
        Evidence(
            is_authorised=connection.is_authorised,
            is_rejected=connection.rejected_at is not None,
            is_enabled=connection.is_selected,
            is_listed=connection.listed_at is not None,
            is_backfilled=connection.backfilled_at is not None,
            has_problems=bool(connection.problems),
            failure=Failure(connection.failure),
            is_stopped=connection.stopped_at is not None,
        )
    )
