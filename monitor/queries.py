"""What the monitor shows, from rows: never from logs or the queue, nor by counting the ledger."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum

from django.db.models import Exists, OuterRef, Q, QuerySet, Sum, TextField
from django.db.models.functions import Cast

from accounts.models import Customer, Mailbox, MailboxSync, User
from accounts.outcomes import state_of
from accounts.rules import State
from accounts.states import appearance
from calendar_sync.brake import DeletionBrake
from email_sync.coverage import Coverage, coverage_by_mailbox
from email_sync.models import DailyCount, Email, IntakeConnection, LedgerEntry, Source
from email_sync.models.ledger import DailyCountQuerySet, LedgerQuerySet
from email_sync.progress import Progress
from email_sync.queries import progress_by_mailbox

Outcome = LedgerEntry.Outcome


# --- mailboxes -----------------------------------------------------------------------------------
class Group(StrEnum):
    """What an admin does about a mailbox, coarser than its state; with one of Tabler's colours."""

    colour: str

    HEALTHY = "healthy", "green"
    REAUTHORISE = "re-authorise", "red"
    ATTENTION = "needs-attention", "yellow"
    BEHIND = "behind", "orange"
    NEVER = "never-connected", "secondary"

    def __new__(cls, value: str, colour: str) -> "Group":
        group = str.__new__(cls, value)
        group._value_ = value
        group.colour = colour
        return group

    @property
    def label(self) -> str:
        return "re-authorise" if self is Group.REAUTHORISE else self.replace("-", " ")


_REAUTHORISE = {State.INVALID, State.INVALID_CREDENTIALS}
_ATTENTION = {State.PARTIAL, State.EXCEPTION, State.SYNC_ERROR, State.STOPPED}
#: A mailbox whose turn was this many intervals ago waits for a worker that does not come.
INTERVALS_BEHIND = 3


#: The failure code of a calendar whose deletions wait for an admin.
HELD_DELETIONS = DeletionBrake.code


@dataclass(frozen=True)
class Side:
    """The email or the calendar side of a mailbox; `sync` is None before it was ever authorised."""

    state: State
    is_enabled: bool
    sync: MailboxSync | None
    cause: str = ""

    @property
    def explanation(self) -> str:
        """Beside a state that is not a healthy one: the cause, else what the state means."""
        is_healthy = self.state not in _REAUTHORISE | _ATTENTION | {State.NOT_CONNECTED}
        return "" if is_healthy else self.cause or appearance(self.state).sentence

    @property
    def last_success_at(self) -> datetime | None:
        return self.sync.last_success_at if self.sync else None

    @property
    def next_due_at(self) -> datetime | None:
        """None where no automatic attempt will be made, whatever the row still says."""
        hopeless = _REAUTHORISE | {State.STOPPED, State.NOT_CONNECTED}
        is_tried = self.is_enabled and self.state not in hopeless
        return self.sync.next_due_at if self.sync and is_tried else None


@dataclass
class MailboxRow:
    """One line of the monitor. `main` is the email side where email is on, else the calendar's.

    `late_since` is when a side was due that no worker takes; None where none is late.
    """

    mailbox: Mailbox
    email: Side
    calendar: Side
    late_since: datetime | None
    today: Counter[str] = field(default_factory=Counter)
    total: Counter[str] = field(default_factory=Counter)
    progress: Progress | None = None
    coverage: Coverage | None = None

    @property
    def user(self) -> User:
        return self.mailbox.user

    @property
    def main(self) -> Side:
        return self.email if self.email.is_enabled else self.calendar

    @property
    def states(self) -> set[State]:
        """Of the sides that are switched on."""
        return {side.state for side in (self.email, self.calendar) if side.is_enabled}

    @property
    def explanations(self) -> list[str]:
        """What is wrong with the sides that are switched on, each cause once."""
        sides = (side for side in (self.email, self.calendar) if side.is_enabled)
        return list(dict.fromkeys(filter(None, (side.explanation for side in sides))))

    @property
    def is_held(self) -> bool:
        """Whether deletions in the calendar wait for an admin: a restart would only hold again."""
        sync = self.calendar.sync
        return bool(sync and sync.stopped_at and sync.failure_code == HELD_DELETIONS)

    @property
    def is_stopped(self) -> bool:
        return State.STOPPED in self.states

    @property
    def group(self) -> Group:
        states = self.states
        if State.NOT_CONNECTED in states or not self.mailbox.is_authorised:
            return Group.NEVER
        if states & _REAUTHORISE:
            return Group.REAUTHORISE
        if states & _ATTENTION:
            return Group.ATTENTION
        return Group.BEHIND if self.late_since else Group.HEALTHY


def mailbox_rows(*, now: datetime, interval: int) -> list[MailboxRow]:
    """Every active user with email or calendar sync switched on: two queries, however many.

    All are loaded, because the state is derived and not stored; there is one for each user.
    """
    switched_on = Q(email_enabled=True) | Q(calendar_enabled=True)
    mailboxes = _with_evidence().filter(switched_on, user__is_active=True)
    in_order = mailboxes.order_by("user__last_name", "user__first_name", "pk")
    return [_row(mailbox, now=now, interval=interval) for mailbox in in_order]


def mailbox_row(user: User, *, now: datetime, interval: int) -> MailboxRow | None:
    """The line of one user, complete; None where they never had a mailbox."""
    mailbox = _with_evidence().filter(user=user).first()
    if mailbox is None:
        return None
    row = _row(mailbox, now=now, interval=interval)
    row.today = _counts(DailyCount.objects.filter(user=user, day=today(now))).get(
        user.pk, row.today
    )
    complete([row], now=now)
    return row


def _with_evidence() -> QuerySet[Mailbox]:
    return Mailbox.objects.select_related("user").defer("grant_id").prefetch_related("syncs")


def _row(mailbox: Mailbox, *, now: datetime, interval: int) -> MailboxRow:
    late = now - timedelta(minutes=interval * INTERVALS_BEHIND)
    syncs = {sync.kind: sync for sync in mailbox.syncs.all()}
    email, calendar = (
        _side(mailbox, kind, syncs.get(kind))
        for kind in (MailboxSync.Kind.EMAIL, MailboxSync.Kind.CALENDAR)
    )
    due = [
        side.next_due_at
        for side in (email, calendar)
        if side.is_enabled and side.sync and not side.sync.is_running and side.next_due_at
    ]
    late_since = min((at for at in due if at < late), default=None)
    return MailboxRow(mailbox, email, calendar, late_since)


def _side(mailbox: Mailbox, kind: str, sync: MailboxSync | None) -> Side:
    is_enabled = mailbox.is_enabled(kind)
    if sync is None:
        return Side(State.NOT_CONNECTED, is_enabled, None)
    sync.mailbox = mailbox
    state = state_of(sync)
    return Side(state, is_enabled, sync, cause_of(sync, state))


def cause_of(sync: MailboxSync, state: State) -> str:
    """What the row knows about why the state is not a healthy one, in plain words; "" otherwise."""
    if state in _REAUTHORISE:
        return sync.mailbox.rejection or sync.failure_text
    if state == State.PARTIAL and sync.problems:
        found = "; ".join(f"{p.get('name', '')}: {p.get('cause', '')}" for p in sync.problems)
        return found.strip(": ")
    return sync.failure_text if state in _ATTENTION else ""


@dataclass(frozen=True)
class Summary:
    """The line above the list. `percent_unmatched` is None where nothing was processed today."""

    groups: Counter[Group]
    states: Counter[State]
    percent_unmatched: int | None


def summarise(rows: Sequence[MailboxRow], *, now: datetime) -> Summary:
    """Adds today's counts to the rows, too: one query for all of them."""
    counts = _counts(DailyCount.objects.filter(day=today(now)))
    for row in rows:
        row.today = counts.get(row.user.pk, Counter())
    whole: Counter[str] = sum((row.today for row in rows), Counter())
    compared = whole[Outcome.MATCHED] + whole[Outcome.UNMATCHED]
    return Summary(
        groups=Counter(row.group for row in rows),
        states=Counter(row.main.state for row in rows),
        percent_unmatched=round(100 * whole[Outcome.UNMATCHED] / compared) if compared else None,
    )


def complete(rows: Sequence[MailboxRow], *, now: datetime) -> None:
    """Adds what only the rows on the page need: totals, coverage, progress of first readings."""
    totals = _counts(DailyCount.objects.filter(user__in=[row.user.pk for row in rows]))
    progress = progress_by_mailbox([row.mailbox for row in rows], now=now)
    coverage = coverage_by_mailbox(row.mailbox for row in rows)
    for row in rows:
        row.coverage = coverage.get(row.mailbox.pk)
        row.total = totals.get(row.user.pk, Counter())
        row.progress = progress.get(row.mailbox.pk)


def today(now: datetime) -> date:
    """The day whose counts are “today's”.

    Counts are kept by UTC day; a viewer far from Greenwich sees them turn over some hours before
    or after their own midnight. That is accepted: another zone would need counts by the hour.
    """
    return now.astimezone(UTC).date()


def _counts(counts: DailyCountQuerySet) -> dict[int, Counter[str]]:
    found: dict[int, Counter[str]] = {}
    grouped = counts.order_by().values_list("user", "outcome").annotate(Sum("count"))
    for user, outcome, count in grouped:
        found.setdefault(user, Counter())[outcome] = count
    return found


_EARLIEST = datetime.min.replace(tzinfo=UTC)
_SORT_KEYS: dict[str, Callable[[MailboxRow], object]] = {
    "user": lambda row: (row.user.last_name.casefold(), row.user.first_name.casefold()),
    "state": lambda row: row.main.state,
    "calendar": lambda row: row.calendar.state if row.calendar.is_enabled else "",
    "authorised": lambda row: row.mailbox.authorised_at or _EARLIEST,
    "last": lambda row: row.main.last_success_at or _EARLIEST,
    "next": lambda row: row.main.next_due_at or _EARLIEST,
    "matched": lambda row: row.today[Outcome.MATCHED],
    "unmatched": lambda row: row.today[Outcome.UNMATCHED],
}
SORTS = tuple(_SORT_KEYS)


def sorted_rows(rows: Iterable[MailboxRow], order: str) -> list[MailboxRow]:
    """By a column of the list; a leading minus turns it round. Equal rows stay by name."""
    key = _SORT_KEYS.get(order.removeprefix("-"), _SORT_KEYS["user"])
    return sorted(rows, key=key, reverse=order.startswith("-"))  # type: ignore[arg-type]


def narrowed(rows: Iterable[MailboxRow], *, text: str, state: str, group: str) -> list[MailboxRow]:
    """The rows whose user or address contain every word, in that state and group ("" for any)."""
    words = text.casefold().split()
    return [
        row
        for row in rows
        if (not state or state in row.states)
        and (not group or row.group == group)
        and all(word in _searched(row) for word in words)
    ]


def _searched(row: MailboxRow) -> str:
    return f"{row.user.display_name} {row.user.username} {row.mailbox.address}".casefold()


# --- the history of one user ---------------------------------------------------------------------
HISTORY_PAGE = 50


@dataclass(frozen=True)
class HistoryPage:
    """`older` is the cursor of the next page, "" on the last."""

    entries: list[LedgerEntry]
    older: str


def history(user: User, viewer: User) -> LedgerQuerySet:
    """The entries of a user that the viewer may see, each with `is_text_readable`."""
    return _with_readable(LedgerEntry.objects.readable_by(viewer).for_user(user), viewer)


def history_of_intake(connection: IntakeConnection, viewer: User) -> LedgerQuerySet:
    """What came through an intake connection, also from senders who are nobody here."""
    entries = LedgerEntry.objects.readable_by(viewer).filter(intake=connection)
    return _with_readable(entries, viewer)


def _with_readable(entries: LedgerQuerySet, viewer: User) -> LedgerQuerySet:
    readable = Email.objects.readable_by(viewer).filter(pk=OuterRef("email"))
    return entries.select_related("user").annotate(is_text_readable=Exists(readable))


def outcome_counts(user: User) -> Counter[str]:
    """How many entries of each outcome a user has, from the daily counts."""
    return _counts(DailyCount.objects.filter(user=user)).get(user.pk, Counter())


@dataclass(frozen=True)
class Ways:
    """How many emails are behind an entry, and by which other ways one of them came in, in words.

    Of a forward that holds several messages each is an email; an email that was synced and BCC'd
    has an entry for each way.
    """

    emails: int = 1
    others: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        return self.emails == 1 and not self.others


def ways_of(entries: Sequence[LedgerEntry]) -> dict[int, Ways]:
    """By key, for those entries that have emails; at most two queries."""
    emails_of = {e.pk: {e.email_id} for e in entries if e.email_id is not None}
    further = LedgerEntry.further_emails.through.objects
    forwards = [e.pk for e in entries if e.source == Source.FWD and e.pk in emails_of]
    if forwards:
        links = further.filter(ledgerentry__in=forwards)
        for pk, email in links.values_list("ledgerentry", "email"):
            emails_of[pk].add(email)
    found = {email for emails in emails_of.values() for email in emails}
    sources: dict[int, set[str]] = {email: set() for email in found}
    if found:
        first = LedgerEntry.objects.filter(email__in=found).order_by()
        other = further.filter(email__in=found).values_list("email", "ledgerentry__source")
        for email, source in first.values_list("email", "source").union(other):
            sources[email].add(source)
    ways = {}
    for entry in entries:
        emails = emails_of.get(entry.pk, set())
        others = {source for email in emails for source in sources[email]} - {entry.source}
        words = tuple(source.label for source in Source if source in others)
        ways[entry.pk] = Ways(max(1, len(emails)), words)
    return ways


@dataclass(frozen=True)
class Narrowing:
    """What a history is narrowed to. Every word of the text is in the subject or an address."""

    text: str = ""
    since: date | None = None
    until: date | None = None
    source: str = ""
    reason: str = ""


def filtered(entries: LedgerQuerySet, by: Narrowing, *, zone: tzinfo) -> LedgerQuerySet:
    """The days, both included, are days in the zone."""
    if by.since:
        entries = entries.filter(sent_at__gte=datetime.combine(by.since, time.min, zone))
    if by.until:
        end = datetime.combine(by.until + timedelta(days=1), time.min, zone)
        entries = entries.filter(sent_at__lt=end)
    if by.source:
        entries = entries.filter(source=by.source)
    if by.reason:
        entries = entries.filter(reason=by.reason)
    if by.text:
        entries = entries.alias(to_text=Cast("to", TextField()), cc_text=Cast("cc", TextField()))
    for word in by.text.split():
        entries = entries.filter(
            Q(subject__icontains=word)
            | Q(from_address__icontains=word)
            | Q(to_text__icontains=word)
            | Q(cc_text__icontains=word)
        )
    return entries


def history_page(entries: LedgerQuerySet, *, after: str, size: int = HISTORY_PAGE) -> HistoryPage:
    """The page that begins after a cursor, newest first; entries without a date come last.

    By key, not by offset: the thousandth page costs what the first does, and an entry that
    arrives meanwhile moves nothing. Dated and undated entries are asked for apart, since databases
    disagree on where an empty date belongs, and the index serves the dated ones as they are.
    """
    sent_at, pk = _read_cursor(after)
    found: list[LedgerEntry] = []
    if pk is None or sent_at:
        dated = entries.exclude(sent_at=None).order_by("-sent_at", "-pk")
        if sent_at:
            before = Q(sent_at__lt=sent_at) | Q(pk__lt=pk)
            dated = dated.filter(before, sent_at__lte=sent_at)
        found = list(dated[: size + 1])
    if len(found) <= size:
        undated = entries.filter(sent_at=None).order_by("-pk")
        if pk is not None and not sent_at:
            undated = undated.filter(pk__lt=pk)
        found += undated[: size + 1 - len(found)]
    has_more = len(found) > size
    return HistoryPage(found[:size], _cursor(found[size - 1]) if has_more else "")


def _cursor(entry: LedgerEntry) -> str:
    return f"{entry.sent_at.isoformat() if entry.sent_at else ''}_{entry.pk}"


def _read_cursor(cursor: str) -> tuple[datetime | None, int | None]:
    """A cursor that was tampered with is the beginning."""
    date_text, _, key_text = cursor.partition("_")
    try:
        sent_at = datetime.fromisoformat(date_text) if date_text else None
        key = int(key_text)
    except ValueError:
        return None, None
    if (sent_at and sent_at.tzinfo is None) or not 0 <= key < 2**63:
        return None, None
    return sent_at, key


def existing_customers(keys: Iterable[int]) -> set[int]:
    """Those of the customers that a history names which are still there to be linked."""
    return set(Customer.objects.filter(pk__in=set(keys)).values_list("pk", flat=True))
