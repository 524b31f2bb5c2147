"""Calendars: passes in which nothing is new, and the import of a large one.

The floor of a pass without news makes the same requests and decodes the answers. The floor of an
import lists the same pages, decodes them, and makes one bulk insert per table and page into plain
tables with the same columns; which events concern a contact it is told beforehand, and nothing is
looked up, normalised or compared.
"""

import json
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from django.db import connection, transaction
from django.test import override_settings
from django.utils import timezone

from accounts.addresses import normalise
from accounts.models import Contact, Customer, Mailbox, MailboxSync, MyContact, User
from accounts.system_settings import Settings
from benchmarks import scenery, servers
from benchmarks.floor import plain
from benchmarks.measuring import Rounds, interleaved, queries_counted
from calendar_sync import listing, rules
from calendar_sync.models import ActionItem, Attendee, CalendarCursor, EventLink
from calendar_sync.sync import sync_calendar
from calendar_sync.tasks import sync_mailbox_calendar
from crm_sync.providers.nylas import NylasGateway
from crm_sync.providers.types import Event, EventPage, Grant

#: Days ahead of an import: with an end, the question is the same in every round of a day.
DAYS_AFTER = 60
CONTACTS = 100
#: Every so many events none is with a contact.
STRANGERS_EVERY = 5

PlainItem = plain(ActionItem)
PlainAttendee = plain(Attendee)
PlainEventLink = plain(EventLink)


# --- passes without news -------------------------------------------------------------------------
@dataclass(frozen=True)
class Idle:
    calendars: int
    sample: int
    queries: int
    rounds: Rounds


def idle(*, calendars: int, sample: int, rounds: int) -> Idle:
    """`sample` of the calendars are read, again and again; all of them stand in the tables."""
    anchor = servers.end_of_working_week()
    with servers.sandbox(
        mailboxes=2 * calendars, messages=10, history_days=10, anchor=anchor
    ) as url:
        gateway = servers.gateway(url)
        grants = list(islice(gateway.grants(), calendars))
        syncs = _with_calendars(scenery.make_mailboxes(grants, sync_from=anchor))
        chosen = syncs[:: max(1, len(syncs) // sample)][:sample]
        with override_settings(
            NYLAS_API_URI=url, NYLAS_API_KEY=servers.KEY, NYLAS_CLIENT_ID="benchmarks"
        ):
            _pass(chosen)
            scenery.settle()
            _pass(chosen)
            MailboxSync.objects.filter(pk=chosen[0]).update(next_due_at=timezone.now())
            with queries_counted() as seen:
                sync_mailbox_calendar(chosen[0])
            cursors = list(
                CalendarCursor.objects.filter(mailbox__syncs__in=chosen).select_related("mailbox")
            )
            found = interleaved(
                {"product": lambda: _pass(chosen), "floor": lambda: _only_ask(gateway, cursors)},
                rounds=rounds,
            )
    return Idle(len(grants), len(chosen), len(seen), found)


def _with_calendars(email_syncs: list[int]) -> list[int]:
    """The same mailboxes with the calendar switched on instead of the email."""
    mailboxes = Mailbox.objects.filter(syncs__in=email_syncs)
    ids = list(mailboxes.order_by("pk").values_list("pk", flat=True))
    Mailbox.objects.filter(pk__in=ids).update(email_enabled=False, calendar_enabled=True)
    rows = [
        MailboxSync(mailbox_id=pk, kind=MailboxSync.Kind.CALENDAR, next_due_at=timezone.now())
        for pk in ids
    ]
    return [row.pk for row in MailboxSync.objects.bulk_create(rows)]


def _pass(syncs: list[int]) -> int:
    """One pass over each, now due."""
    MailboxSync.objects.filter(pk__in=syncs).update(next_due_at=timezone.now())
    for sync_id in syncs:
        sync_mailbox_calendar(sync_id)
    healthy = MailboxSync.objects.filter(pk__in=syncs, failure="", next_due_at__gt=timezone.now())
    if healthy.count() != len(syncs):
        sys.exit("Some of the passes failed.")
    return len(syncs)


def _only_ask(gateway: NylasGateway, cursors: list[CalendarCursor]) -> int:
    """The floor: the same requests, decoded, and nothing done with the answers."""
    for cursor in cursors:
        grant_id = cursor.mailbox.grant_id
        gateway.calendars(grant_id)
        start, end = _span(cursor.mailbox)
        assert cursor.read_up_to is not None
        gateway.event_page(
            grant_id,
            calendar_id=cursor.calendar_id,
            start=start,
            end=end,
            updated_after=cursor.read_up_to - listing.OVERLAP,
        )
    return len(cursors)


def _span(mailbox: Mailbox) -> tuple[datetime, datetime]:
    now = timezone.now()
    window = rules.window_of(
        now=now,
        sync_from=mailbox.sync_from or now,
        days_after=mailbox.days_after,
        zone=mailbox.user.zone,
    )
    return rules.listed_span(window, now=now, longest=None)[0]


# --- a large import ------------------------------------------------------------------------------
@dataclass(frozen=True)
class Import:
    events: int
    imported: int
    queries: int
    pages: int
    rounds: Rounds


def large_import(*, events: int, contacts: int, rounds: int) -> Import:
    """Product and floor in turn, from a replay of the sandbox."""
    anchor = servers.end_of_working_week()
    with (
        servers.sandbox(mailboxes=2, messages=10, history_days=10, anchor=anchor) as sandbox,
        servers.replay(sandbox) as replay,
    ):
        grant = next(servers.gateway(sandbox).grants())
        _fill(sandbox, grant, events=events)
        people = _make_contacts()
        scenery.grow(contacts=contacts, entries=0)
        _make_tables()
        gateway = servers.gateway(replay)
        imported = [0]

        def product() -> int:
            report = sync_calendar(_new_rep(grant, people), gateway=gateway, settings=Settings())
            if report.outcome != "complete" or report.result.seen < events:
                sys.exit(f"The pass did not go as it should: {report}")
            imported[0] = report.result.matched
            return report.result.seen

        def least() -> int:
            return _floor(gateway, _new_rep(grant, people).mailbox, people)

        ways = {"product": product, "floor": least}
        interleaved(ways, rounds=1)  # The first round fills the replay.
        scenery.settle()
        found = interleaved(ways, rounds=rounds)
        with queries_counted() as seen:
            listed = product()
        return Import(listed, imported[0], len(seen), -(-listed // 200), found)


def _fill(url: str, grant: Grant, *, events: int) -> None:
    """Put the events into the first calendar: half an hour each, day and night."""
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=1)

    def put(number: int) -> None:
        at = int(start.timestamp()) + number % (48 * (DAYS_AFTER - 2)) * 1800
        is_strange = number % STRANGERS_EVERY == 0
        guest = f"guest{number}@other.example" if is_strange else _address(number % CONTACTS)
        body = {
            "mailbox": grant.email,
            "event": {
                "title": f"Review of rates {number}",
                "description": f"<p>Agenda of meeting {number}</p>" + "<p>One more point.</p>" * 8,
                "location": "Harbor office",
                "when": {"start_time": at, "end_time": at + 1800},
                "participants": [{"email": guest}, {"email": f"aide{number}@other.example"}],
            },
        }
        request = urllib.request.Request(
            f"{url}/sandbox/event", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=60).read()

    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(put, range(events)))


def _address(number: int) -> str:
    return f"person{number}@bench-calendar.example"


def _make_contacts() -> list[Contact]:
    customer = Customer.objects.create(number="bench-calendar", name="People with calendars")
    found = []
    for number in range(CONTACTS):
        contact = Contact.objects.create(customer=customer, first_name=f"Person {number}")
        contact.set_addresses([_address(number)])
        found.append(contact)
    return found


def _new_rep(grant: Grant, people: list[Contact]) -> MailboxSync:
    """A rep who has read nothing yet and takes the mailbox over from the rep before."""
    Mailbox.objects.exclude(grant_digest="").update(grant_id="", grant_digest="")
    user = User.objects.create(username=f"calendar-{User.objects.count()}", email=grant.email)
    mailbox = Mailbox.objects.create(
        user=user,
        address=grant.email,
        authorised_address=normalise(grant.email),
        provider=grant.provider,
        calendar_enabled=True,
        days_after=DAYS_AFTER,
        grant_id=grant.id,
        authorised_at=scenery.LONG_AGO,
        sync_from=datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0),
    )
    MyContact.objects.flag(user, people)
    return MailboxSync.objects.create(mailbox=mailbox, kind=MailboxSync.Kind.CALENDAR)


def _make_tables() -> None:
    with connection.schema_editor() as editor:
        for model in (PlainItem, PlainAttendee, PlainEventLink):
            editor.create_model(model)


def _floor(gateway: NylasGateway, mailbox: Mailbox, people: list[Contact]) -> int:
    """List and store; how many events were listed."""
    grant_id = mailbox.grant_id
    calendar = gateway.calendars(grant_id)[0]
    start, end = _span(mailbox)
    known = {_address(number): contact.pk for number, contact in enumerate(people)}
    listed, token = 0, None
    while True:
        page = gateway.event_page(
            grant_id, calendar_id=calendar.id, start=start, end=end, page_token=token
        )
        _store(page, known)
        listed += len(page.events)
        token = page.next_page
        if token is None:
            return listed


def _store(page: EventPage, known: dict[str, int]) -> None:
    wanted = [e for e in page.events if any(a.address in known for a in e.attendees)]
    with transaction.atomic():
        items = PlainItem.objects.bulk_create([_plain_item(event) for event in wanted])
        PlainAttendee.objects.bulk_create(
            [
                PlainAttendee(item_id=item.pk, address=person.address, name=person.name)
                for item, event in zip(items, wanted, strict=True)
                for person in (*event.attendees, event.organiser)
                if person is not None
            ]
        )
        PlainEventLink.objects.bulk_create(
            [
                PlainEventLink(item_id=item.pk, calendar_id=event.calendar_id, event_id=event.id)
                for item, event in zip(items, wanted, strict=True)
            ]
        )


def _plain_item(event: Event) -> object:
    assert event.time is not None
    return PlainItem(
        origin="imported",
        title=event.title,
        location=event.location,
        note=event.description,
        ical_uid=event.ical_uid,
        starts_at=event.time.starts_at or scenery.LONG_AGO,
        ends_at=event.time.ends_at or scenery.LONG_AGO,
        changed_at=scenery.LONG_AGO,
        created_at=scenery.LONG_AGO,
    )
