"""Writing down how a pass went: the evidence from which the state is derived.

The `note_…` functions only fill the row in memory; `accounts.passes` saves it once (EVIDENCE).
"""

import random
from datetime import datetime, timedelta

from accounts.models import Mailbox, MailboxSync
from accounts.models.mailboxes import Schedule
from accounts.rules import Evidence, Failure, State, backoff, derive_state, next_regular
from accounts.system_settings import Settings
from crm_sync.providers.errors import (
    ApplicationRejected,
    ProviderError,
    ReconnectRequired,
    TransientError,
)

_chance = random.Random()

#: The fields that the end of a pass writes, among them the lease that it gives back.
EVIDENCE = (
    "last_success_at failure failure_code failure_text failed_at failure_count stopped_at "
    "next_due_at problems backfilled_at lease_holder lease_until"
).split()


def state_of(sync: MailboxSync) -> State:
    """The state of one side of a mailbox, from its row and its mailbox's row: no query."""
    mailbox = sync.mailbox
    return derive_state(
        Evidence(
            is_authorised=mailbox.is_authorised,
            is_rejected=mailbox.rejected_at is not None,
            is_enabled=mailbox.is_enabled(sync.kind),
            is_listed=sync.listed_at is not None,
            is_backfilled=sync.backfilled_at is not None,
            has_problems=bool(sync.problems),
            failure=Failure(sync.failure),
            is_stopped=sync.stopped_at is not None,
        )
    )


def classify(error: Exception) -> Failure:
    """The class of failure that an exception belongs to."""
    if isinstance(error, ReconnectRequired):
        return Failure.RECONNECT
    if isinstance(error, TransientError):
        return Failure.TRANSIENT
    if isinstance(error, ProviderError):
        return Failure.NOT_UNDERSTOOD
    return Failure.BUG


def note_success(row: Schedule, *, started_at: datetime, settings: Settings) -> None:
    """A pass read all there was; the row is healthy and due again after the interval."""
    row.last_success_at = started_at
    row.failure = row.failure_code = row.failure_text = ""
    row.failed_at = None
    row.failure_count = 0
    row.stopped_at = None
    row.next_due_at = next_regular(
        started_at, interval=timedelta(minutes=settings.interval), chance=_chance
    )


def note_failure(row: Schedule, error: Exception, *, now: datetime, settings: Settings) -> None:
    """A pass ended with an error: its cause in plain words, and when the next attempt is made.

    The same code a set number of times in a row stops the row until somebody restarts it. A
    rejected grant stops at once, in `record_rejection`.
    """
    kind = classify(error)
    code = error.code if isinstance(error, ProviderError) else type(error).__name__
    row.failure_count = row.failure_count + 1 if row.failure_code == code else 1
    row.failure, row.failure_code = kind, code[:60]
    row.failure_text = describe(error)
    row.failed_at = now
    retry_after = error.retry_after if isinstance(error, TransientError) else None
    row.next_due_at = now + backoff(row.failure_count, retry_after=retry_after, chance=_chance)
    # A refused API key is nobody's mailbox: once mended, all of them go on by themselves.
    is_ours = isinstance(error, ApplicationRejected)
    if row.failure_count >= settings.stop_after_failures and not is_ours:
        row.stopped_at = now


def record_rejection(mailbox: Mailbox, error: ReconnectRequired, *, now: datetime) -> bool:
    """The provider no longer accepts the grant; True the first time: people hear of it once.

    Compare-and-set on the grant that was refused: a re-authorisation that came in between stands.
    """
    changed = Mailbox.objects.filter(
        pk=mailbox.pk, grant_digest=mailbox.grant_digest, rejected_at=None
    ).update(rejected_at=now, rejection=describe(error))
    return bool(changed)


def accept_grant(mailbox: Mailbox) -> None:
    """A pass went through: the provider accepts the grant, whatever it said before."""
    if mailbox.rejected_at is None:
        return
    Mailbox.objects.filter(
        pk=mailbox.pk, grant_digest=mailbox.grant_digest, rejected_at__isnull=False
    ).update(rejected_at=None, rejection="")


def describe(error: Exception) -> str:
    """The cause in plain words. An unforeseen exception's own text may hold mail: it stays out."""
    if isinstance(error, ProviderError):
        return str(error)[:500]
    return f"Our own code failed ({type(error).__name__}). The details are in the worker's log."
