"""What the screens of the intake show, from rows."""

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo

from django.db.models import Count

from accounts.rules import State
from accounts.system_settings import Settings
from email_sync import connecting_intake
from email_sync.intake import is_wanted
from email_sync.models import IntakeConnection, LedgerEntry
from email_sync.models.ledger import LedgerQuerySet
from monitor.queries import Narrowing, filtered

Outcome = LedgerEntry.Outcome

#: How far back the configuration page counts.
COUNTED_DAYS = 30

_AUTHORISE_AGAIN = {State.INVALID, State.INVALID_CREDENTIALS}
_AT_WORK = {State.INITIALIZING, State.DOWNLOADING}


def outcome_counts(connection: IntakeConnection) -> Counter[str]:
    """The connection's entries by outcome, of all times."""
    return _by_outcome(LedgerEntry.objects.filter(intake=connection))


def _by_outcome(entries: LedgerQuerySet) -> Counter[str]:
    return Counter(dict(entries.order_by().values_list("outcome").annotate(Count("pk"))))


@dataclass(frozen=True)
class Period:
    """Mail dated on this day or later: the numbers count what the history shows `since` then."""

    name: str
    since: date
    counts: list[tuple[Outcome, int]]


def periods(connection: IntakeConnection, *, now: datetime, zone: tzinfo) -> list[Period]:
    """Today and the last 30 days, as days in the zone; a query for each."""
    today = now.astimezone(zone).date()
    entries = LedgerEntry.objects.filter(intake=connection)
    found = []
    for name, days in (("Mail of today", 1), (f"Mail of {COUNTED_DAYS} days", COUNTED_DAYS)):
        since = today - timedelta(days=days - 1)
        counts = _by_outcome(filtered(entries, Narrowing(since=since), zone=zone))
        shown = [(outcome, counts[outcome]) for outcome in Outcome if counts[outcome]]
        found.append(Period(name, since, shown))
    return found


@dataclass(frozen=True)
class Reading:
    """How the reading of the selected connection goes.

    `activity` is “Reading now”, “Queued” or empty; `next_at` None means no automatic attempt.
    """

    state: State
    activity: str
    next_at: datetime | None
    must_authorise_again: bool

    @property
    def is_busy(self) -> bool:
        """Whether something may change within seconds."""
        return bool(self.activity) or (self.next_at is not None and self.state in _AT_WORK)


def reading_of(connection: IntakeConnection, *, settings: Settings, now: datetime) -> Reading:
    state = connecting_intake.state_of(connection)
    must_authorise_again = state in _AUTHORISE_AGAIN
    hopeless = {State.NOT_CONNECTED, State.STOPPED}
    is_tried = is_wanted(settings) and not must_authorise_again and state not in hopeless
    return Reading(
        state=state,
        activity=_activity(connection, now) if is_tried else "",
        next_at=connection.next_due_at if is_tried else None,
        must_authorise_again=must_authorise_again,
    )


def _activity(connection: IntakeConnection, now: datetime) -> str:
    if connection.lease_holder and connection.lease_until and connection.lease_until > now:
        return "Reading now"
    is_due = connection.next_due_at is not None and connection.next_due_at <= now
    return "Queued" if connection.queued_at or is_due else ""
