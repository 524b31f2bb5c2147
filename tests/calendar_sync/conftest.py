"""A small cast: Mia and Tom with their calendars, two customers, their contacts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from unittest import mock

import pytest
from django.utils import timezone

from accounts.connecting import adopt_grant
from accounts.models import Contact, Customer, Mailbox, MailboxSync, MyContact, User
from accounts.passes import PassReport
from accounts.system_settings import Settings, current
from calendar_sync import changing
from calendar_sync.models import ActionItem, ActionItemChange, ActionType, CalendarCursor, EventLink
from calendar_sync.sync import sync_calendar
from crm_sync.providers.types import Event, Grant
from tests.calendar_sync.fake_calendar import NOW, FakeCalendar


@dataclass
class Rep:
    """A user with a calendar of their own."""

    user: User
    mailbox: Mailbox
    calendar: FakeCalendar = field(default_factory=FakeCalendar)


@dataclass
class World:
    """`now` is our clock; `sync()` runs one pass, of Mia's calendar unless told otherwise."""

    mia: Rep
    tom: Rep
    ana: Contact
    kim: Contact
    call: ActionType
    now: datetime = NOW

    def row(self, rep: Rep | None = None) -> MailboxSync:
        rows = MailboxSync.objects.select_related("mailbox__user")
        return rows.get(mailbox__user=(rep or self.mia).user, kind="calendar")

    def cursor(self, rep: Rep | None = None) -> CalendarCursor:
        return CalendarCursor.objects.get(mailbox=(rep or self.mia).mailbox)

    def sync(
        self, rep: Rep | None = None, *, whole: bool = False, settings: Settings | None = None
    ) -> PassReport:
        with self.clock():
            return sync_calendar(
                self.row(rep),
                gateway=(rep or self.mia).calendar,
                settings=settings or current(),
                wants_whole=whole,
            )

    def synced(self, rep: Rep | None = None, **more: object) -> PassReport:
        """A pass that must go well."""
        report = self.sync(rep, **more)
        assert report.error is None, report.error
        assert report.outcome == "complete", report
        return report

    def later(self, **span: float) -> None:
        self.now += timedelta(**span)

    @contextmanager
    def clock(self) -> Iterator[None]:
        with mock.patch.object(timezone, "now", side_effect=lambda: self.now):
            yield

    # --- what people do in the CRM ---------------------------------------------------------------
    def to_do(self, rep: Rep | None = None, **values: object) -> ActionItem:
        given = {
            "owner": (rep or self.mia).user,
            "type": self.call,
            "title": "Call Ana",
            "starts_at": NOW + timedelta(hours=24),
            "sync": True,
            **values,
        }
        return changing.create_action(given, by=(rep or self.mia).user, now=self.now)

    def edit(self, item: ActionItem, **changes: object) -> ActionItem:
        return changing.edit_action(item, changes, by=self.mia.user, now=self.now)

    def event_of(self, item: ActionItem, rep: Rep | None = None) -> Event:
        rep = rep or self.mia
        link = EventLink.objects.live().get(item=item, mailbox=rep.mailbox)
        return rep.calendar.events[link.event_id]


def is_shown(world: World, item: ActionItem, rep: Rep | None = None) -> bool:
    """Whether it is in the calendar."""
    return world.event_of(item, rep).id in (rep or world.mia).calendar.shown()


def history(item: ActionItem) -> list[str]:
    return [row.summary for row in ActionItemChange.objects.filter(item=item).order_by("pk")]


def connect(user: User, **more: object) -> Mailbox:
    grant = Grant(id=f"grant-{user.username}", email=user.email, provider="google")
    mailbox = adopt_grant(user, grant, now=NOW, settings=Settings())
    mailbox.calendar_enabled = True
    for name, value in more.items():
        setattr(mailbox, name, value)
    mailbox.save()
    return mailbox


def make_rep(username: str, first_name: str, **more: object) -> Rep:
    user = User.objects.create(
        username=username,
        email=f"{username}@northsound.example",
        first_name=first_name,
        last_name="Berg",
        time_zone="Europe/Berlin",
    )
    return Rep(user, connect(user, **more))


def make_world() -> World:
    mia, tom = make_rep("mia", "Mia"), make_rep("tom", "Tom")
    lumen = Customer.objects.create(number="1001", name="Lumen")
    harbor = Customer.objects.create(number="1002", name="Harbor Foods")
    ana = Contact.objects.create(
        customer=lumen, first_name="Ana", last_name="Silva", phone="555 0100"
    )
    ana.set_addresses(["ana@lumen.example"])
    kim = Contact.objects.create(customer=harbor, first_name="Kim")
    kim.set_addresses(["kim@harbor.example"])
    MyContact.objects.flag(mia.user, [ana])
    MyContact.objects.flag(tom.user, [ana])
    call, _ = ActionType.objects.get_or_create(name="Call")
    world = World(mia, tom, ana, kim, call)
    for rep in (mia, tom):
        rep.calendar.now = lambda: world.now
    return world


@pytest.fixture
def world(db) -> World:
    return make_world()
