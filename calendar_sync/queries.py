"""Action items as screens show them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, tzinfo

from django.core.paginator import Page, Paginator
from django.db.models import F, Prefetch, QuerySet

from accounts.models import Contact, Mailbox, User
from accounts.queries import with_flag_date
from calendar_sync.models import ActionItem, Attendee, CalendarCursor, EventLink
from calendar_sync.models.actions import ActionItemQuerySet
from calendar_sync.rules import window_of
from calendar_sync.wording import (
    CalendarFacts,
    Standing,
    SyncFacts,
    When,
    possessive,
    standing,
)
from crm_sync.providers.types import EventTime

TO_DOS_PER_PAGE = 20


@dataclass(frozen=True)
class ListedToDo:
    """A to-do as listed: when it is due in words, whether it is late, where its sync stands."""

    item: ActionItem
    when: str
    is_overdue: bool
    standing: Standing


@dataclass(frozen=True)
class ToDoPage:
    rows: list[ListedToDo]
    page: "Page[ActionItem]"


def to_do_page(
    items: ActionItemQuerySet, *, viewer: User, number: str | None, now: datetime
) -> ToDoPage:
    """The open to-dos, the longest due first, then the completed ones, the latest first.

    The number of queries does not grow with the number of to-dos.
    """
    found = (
        items.filter(origin=ActionItem.Origin.CRM)
        .select_related("type", "owner", "contact")
        .prefetch_related("links")
        .order_by(F("completed_at").desc(nulls_first=True), "starts_at", "pk")
    )
    page = Paginator(found, TO_DOS_PER_PAGE).get_page(number)
    calendars = calendars_of({item.owner_id for item in page})
    rows = [_listed(item, calendars, viewer=viewer, now=now) for item in page]
    return ToDoPage(rows, page)


def _listed(
    item: ActionItem, calendars: dict[int, Mailbox], *, viewer: User, now: datetime
) -> ListedToDo:
    when = when_of(item)
    today = now.astimezone(viewer.zone).date()
    return ListedToDo(
        item=item,
        when=when.words(zone=viewer.zone, today=today),
        is_overdue=item.completed_at is None and when.is_past(now=now, zone=viewer.zone),
        standing=_standing(item, calendars.get(item.owner_id), viewer=viewer, now=now),
    )


def when_of(item: ActionItem) -> When:
    return When(item.starts_at, item.ends_at, item.all_day)


def calendars_of(owners: Iterable[int]) -> dict[int, Mailbox]:
    """The mailboxes of these users with what is known of their calendars: one query."""
    mailboxes = Mailbox.objects.filter(user__in=set(owners)).select_related("calendar_cursor")
    return {mailbox.user_id: mailbox for mailbox in mailboxes.defer("grant_id")}


def standing_of(item: ActionItem, *, viewer: User, now: datetime) -> Standing:
    """Where the sync of one to-do stands."""
    return _standing(item, calendars_of([item.owner_id]).get(item.owner_id), viewer=viewer, now=now)


def _standing(
    item: ActionItem, mailbox: Mailbox | None, *, viewer: User, now: datetime
) -> Standing:
    owner = item.owner
    zone = owner.zone
    link = _link(item, mailbox)
    calendar = _facts_of(mailbox, zone, now=now)
    facts = SyncFacts(
        is_wanted=item.sync,
        day=when_of(item).days(zone)[0],
        is_in_window=calendar.window is None or calendar.window.holds(_event_time(item)),
        is_unlinked=item.unlinked_at is not None,
        is_in_calendar=bool(link and link.event_id),
        failure=link.failure if link else "",
    )
    whose = whose_calendar(owner, viewer)
    today = now.astimezone(zone).date()
    return standing(facts, calendar, whose=whose, today=today)


def _event_time(item: ActionItem) -> EventTime:
    if item.all_day:
        return EventTime(first_day=item.first_day, last_day=item.last_day)
    return EventTime(starts_at=item.starts_at, ends_at=item.ends_at)


def _link(item: ActionItem, mailbox: Mailbox | None) -> EventLink | None:
    """Its event in the owner's calendar; one that is about to be removed does not count."""
    if mailbox is None:
        return None
    of_mailbox = (link for link in item.links.all() if link.mailbox_id == mailbox.pk)
    return next((link for link in of_mailbox if not link.is_leaving), None)


def whose_calendar(owner: User, viewer: User) -> str:
    """“your”, “Mia's”."""
    return "your" if owner == viewer else possessive(owner.first_name or owner.username)


def _facts_of(mailbox: Mailbox | None, zone: tzinfo, *, now: datetime) -> CalendarFacts:
    if mailbox is None or not (mailbox.is_authorised and mailbox.calendar_enabled):
        return CalendarFacts(is_connected=False)
    cursor: CalendarCursor | None = getattr(mailbox, "calendar_cursor", None)
    window = None
    if mailbox.sync_from:
        window = window_of(
            now=now, sync_from=mailbox.sync_from, days_after=mailbox.days_after, zone=zone
        )
    return CalendarFacts(
        is_connected=True,
        window=window,
        days_after=mailbox.days_after,
        read_only_name=cursor.name or "?" if cursor and cursor.is_read_only else "",
    )


# --- one item ------------------------------------------------------------------------------------
def with_details(items: ActionItemQuerySet, viewer: User) -> ActionItemQuerySet:
    """With everything that the item's own page shows."""
    contacts = with_flag_date(Contact.objects.select_related("customer"), viewer)
    attendees = Attendee.objects.prefetch_related(Prefetch("contacts", queryset=contacts))
    return items.select_related(
        "type", "owner", "customer", "contact__customer", "created_by"
    ).prefetch_related("links", Prefetch("attendees", queryset=attendees), "changes__user")


# --- the brake -----------------------------------------------------------------------------------
def held_cursors() -> QuerySet[CalendarCursor]:
    """Calendars whose deletions wait for somebody's decision."""
    return CalendarCursor.objects.exclude(held_at=None).select_related("mailbox__user")
