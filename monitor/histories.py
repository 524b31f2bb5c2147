"""A user's sync history as its dialog shows it: the tabs, and each entry with its explanation."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from django.utils import timezone
from django.utils.formats import date_format

from accounts.models import Mailbox, User
from email_sync.models import LedgerEntry
from monitor.explanations import Owner, Person, Trace, explain, read_trace
from monitor.queries import Ways, existing_customers, ways_of

Outcome = LedgerEntry.Outcome

ALWAYS_SHOWN = (Outcome.MATCHED, Outcome.UNMATCHED)


@dataclass(frozen=True)
class Tab:
    outcome: str
    label: str
    count: int
    is_chosen: bool


def tabs(counts: Counter[str], *, chosen: str) -> list[Tab]:
    """Matched and Unmatched always; Excluded and Failed when there are any, or when asked for."""
    if chosen not in Outcome:
        chosen = Outcome.MATCHED
    return [
        Tab(outcome, outcome.label, counts[outcome], outcome == chosen)
        for outcome in Outcome
        if outcome in ALWAYS_SHOWN or counts[outcome] or outcome == chosen
    ]


@dataclass(frozen=True)
class HistoryRow:
    """An entry, why it is what it is, and whom it is about.

    `linked_customers` are those customers in the trace whose page still exists.
    """

    entry: LedgerEntry
    is_text_readable: bool
    owner: Owner
    reason: str
    trace: Trace
    people: tuple[Person, ...]
    linked_customers: frozenset[int]
    ways: Ways

    @property
    def is_hidden(self) -> bool:
        """Whether there is a text that was deleted in the CRM."""
        return self.entry.email_id is not None and not self.is_text_readable

    @property
    def further_recipients(self) -> list[str]:
        return [*self.entry.to[1:], *self.entry.cc]


def history_rows(
    entries: Sequence[LedgerEntry], *, viewer: User, mailbox: Mailbox | None = None
) -> list[HistoryRow]:
    """The entries with their explanations: three queries at most for all of them.

    `mailbox` is whose start is named where mail came before it. Entries without a user are those
    of senders to the intake who are nobody here, or not proved to be who they say.
    """
    start = mailbox.sync_from if mailbox else None
    starts = date_format(timezone.localtime(start), "j M Y") if start else ""
    traces = [read_trace(entry.trace, reason=entry.reason) for entry in entries]
    named = {
        person.customer_id
        for trace in traces
        for person in (*trace.mine, *trace.others)
        if person.customer_id is not None
    }
    linked = frozenset(existing_customers(named))
    ways = ways_of(entries)
    return [
        _history_row(entry, trace, viewer=viewer, starts=starts, linked=linked, ways=ways[entry.pk])
        for entry, trace in zip(entries, traces, strict=True)
    ]


def _history_row(
    entry: LedgerEntry,
    trace: Trace,
    *,
    viewer: User,
    starts: str,
    linked: frozenset[int],
    ways: Ways,
) -> HistoryRow:
    user = entry.user
    called = Owner.called(
        (user.first_name or user.display_name) if user else "the sender", is_reader=user == viewer
    )
    return HistoryRow(
        entry=entry,
        # Annotated by queries.history, which the type checker cannot know.
        is_text_readable=bool(getattr(entry, "is_text_readable", False)),
        owner=called,
        reason=explain(
            trace,
            reason=entry.reason,
            owner=called,
            starts=starts,
            is_expired=entry.expired_at is not None,
        ),
        trace=trace,
        people=trace.mine if entry.outcome == Outcome.MATCHED else trace.others,
        linked_customers=linked,
        ways=ways,
    )
