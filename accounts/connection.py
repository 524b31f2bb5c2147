"""What the connection panel tells about a mailbox: its state, why, and when it is read next."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from accounts.models import Mailbox, MailboxSync
from accounts.outcomes import state_of
from accounts.rules import State
from accounts.system_settings import Settings

_AUTHORISE_AGAIN = {State.INVALID, State.INVALID_CREDENTIALS}
_AT_WORK = {State.INITIALIZING, State.DOWNLOADING}


@dataclass(frozen=True)
class Connection:
    """One side of it: email or calendar.

    `activity` is “Reading now”, “Queued” or empty; `next_at` None means no automatic attempt.
    """

    kind: MailboxSync.Kind
    state: State
    cause: str
    problems: list[dict[str, Any]]
    pause: str
    activity: str
    last_at: datetime | None
    next_at: datetime | None

    @property
    def must_authorise_again(self) -> bool:
        return self.state in _AUTHORISE_AGAIN

    @property
    def can_sync(self) -> bool:
        return not (self.must_authorise_again or self.pause or self.state == State.NOT_CONNECTED)

    @property
    def is_busy(self) -> bool:
        """Whether something may change within seconds."""
        return bool(self.activity) or (self.can_sync and self.state in _AT_WORK)


def connections_of(mailbox: Mailbox, *, settings: Settings, now: datetime) -> list[Connection]:
    """The sides that are switched on, email first; the email side alone where none is."""
    kinds = [kind for kind in MailboxSync.Kind if mailbox.is_enabled(kind)]
    return [
        connection_of(mailbox, kind=kind, settings=settings, now=now)
        for kind in kinds or [MailboxSync.Kind.EMAIL]
    ]


def connection_of(
    mailbox: Mailbox, *, kind: MailboxSync.Kind, settings: Settings, now: datetime
) -> Connection:
    """The connection as the mailbox's rows tell it (with `syncs` loaded: no query)."""
    syncs = {sync.kind: sync for sync in mailbox.syncs.all()} if mailbox.pk else {}
    sync = syncs.get(kind) or MailboxSync(mailbox=mailbox, kind=kind)
    state = state_of(sync)
    pause = _pause(mailbox, kind, settings)
    is_automatic = state not in _AUTHORISE_AGAIN | {State.STOPPED} and not pause
    return Connection(
        kind=kind,
        state=state,
        cause=_cause(sync, state),
        problems=list(sync.problems) if state == State.PARTIAL else [],
        pause=pause,
        activity=_activity(sync, now) if is_automatic and mailbox.is_authorised else "",
        last_at=sync.last_success_at,
        next_at=sync.next_due_at if is_automatic else None,
    )


def _pause(mailbox: Mailbox, kind: MailboxSync.Kind, settings: Settings) -> str:
    """Why nothing is read although nothing is wrong; "" otherwise."""
    if not mailbox.is_authorised:
        return ""
    if not mailbox.is_enabled(kind):
        return f"{kind.label} sync is switched off, so nothing is read."
    if not settings.processing:
        return "An admin has switched all processing off for now; nothing is lost meanwhile."
    return ""


def _cause(sync: MailboxSync, state: State) -> str:
    if state in _AUTHORISE_AGAIN:
        return sync.mailbox.rejection or sync.failure_text
    return sync.failure_text


def _activity(sync: MailboxSync, now: datetime) -> str:
    if sync.lease_holder and sync.lease_until and sync.lease_until > now:
        return "Reading now"
    is_due = sync.next_due_at is not None and sync.next_due_at <= now
    return "Queued" if sync.queued_at or is_due else ""
