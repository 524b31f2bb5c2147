"""What the evidence on a mailbox's row means: pure functions over plain values."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

MAX_BACKOFF = timedelta(hours=1)


@dataclass(frozen=True)
class Problem:
    """A folder or calendar that cannot be read as the user asked, and why in plain words."""

    name: str
    cause: str


class Failure(StrEnum):
    """How the last attempt failed (design, “Failure classes”)."""

    NONE = ""
    TRANSIENT = "transient"
    RECONNECT = "reconnect"
    NOT_UNDERSTOOD = "not-understood"
    BUG = "bug"


class State(StrEnum):
    """The states that users see (seed 000), and one for a mailbox that was never connected."""

    NOT_CONNECTED = "not-connected"
    VALID = "valid"
    INVALID = "invalid"
    INITIALIZING = "initializing"
    DOWNLOADING = "downloading"
    RUNNING = "running"
    PARTIAL = "partial"
    INVALID_CREDENTIALS = "invalid-credentials"
    EXCEPTION = "exception"
    SYNC_ERROR = "sync-error"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Evidence:
    """What a mailbox's rows say about one kind of sync."""

    is_authorised: bool
    is_rejected: bool = False
    is_enabled: bool = True
    is_listed: bool = False
    is_backfilled: bool = False
    has_problems: bool = False
    failure: Failure = Failure.NONE
    is_stopped: bool = False


def derive_state(evidence: Evidence) -> State:
    """The state that the evidence amounts to; the gravest that applies.

    With the sync switched off only the provider's own word is left: `valid` or `invalid`.
    """
    if not evidence.is_authorised:
        return State.NOT_CONNECTED
    if not evidence.is_enabled:
        return State.INVALID if evidence.is_rejected else State.VALID
    if evidence.is_rejected or evidence.failure == Failure.RECONNECT:
        return State.INVALID_CREDENTIALS
    if evidence.is_stopped:
        return State.STOPPED
    if evidence.failure == Failure.BUG:
        return State.SYNC_ERROR
    if evidence.failure == Failure.NOT_UNDERSTOOD:
        return State.EXCEPTION
    if not evidence.is_listed:
        return State.INITIALIZING
    if evidence.has_problems or evidence.failure == Failure.TRANSIENT:
        return State.PARTIAL
    return State.RUNNING if evidence.is_backfilled else State.DOWNLOADING


def simplified(state: State) -> State:
    """The state in the seeds' simplified view: `valid`, `invalid` or `downloading`."""
    if state in {State.NOT_CONNECTED, State.DOWNLOADING}:
        return state
    healthy = {State.VALID, State.INITIALIZING, State.RUNNING, State.PARTIAL}
    return State.VALID if state in healthy else State.INVALID


def backoff(failures: int, *, retry_after: float | None, chance: random.Random) -> timedelta:
    """How long to wait after this many failures in a row: doubling from 30 s to an hour, ±25 %.

    A Retry-After (seconds) is a minimum: asking earlier would be refused again.
    """
    delay = min(MAX_BACKOFF.total_seconds(), 30 * 2 ** min(failures - 1, 12))
    delay *= chance.uniform(0.75, 1.25)
    return timedelta(seconds=max(delay, (retry_after or 0) * chance.uniform(1.0, 1.1)))


def next_regular(started_at: datetime, *, interval: timedelta, chance: random.Random) -> datetime:
    """When a healthy mailbox is due again: spread by ±10 %, so that mailboxes drift apart."""
    return started_at + interval * chance.uniform(0.9, 1.1)
