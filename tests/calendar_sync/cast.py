"""The people of tests about the calendar's screens, and items for them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from accounts.models import Contact, User
from calendar_sync.models import ActionItem, ActionType, Attendee
from calendar_sync.models.actions import IMPORTED, midnight
from tests.email_cast import EmailCastTestCase

NINE = datetime(2026, 11, 24, 9, tzinfo=UTC)


class CalendarCastTestCase(EmailCastTestCase):
    """The cast in Berlin, with two types to choose from."""

    call: ActionType
    task: ActionType

    @classmethod
    def setUpTestData(cls) -> None:
        super().setUpTestData()
        User.objects.update(time_zone="Europe/Berlin")
        cls.rep.refresh_from_db()
        cls.call = a_type("Call", sync_by_default=True)
        cls.task = a_type("Task", sync_by_default=False)

    def a_to_do(self, **fields) -> ActionItem:
        """The rep's, for Harbor Foods, on 24 November 2026 at ten in Berlin."""
        values = {"owner": self.rep, "customer": self.customer, "type": self.call} | fields
        return a_to_do(**values)

    def an_appointment(self, **fields) -> ActionItem:
        return an_appointment(**({"owner": self.rep, "contacts": [self.julia]} | fields))


def a_type(name: str, **fields) -> ActionType:
    return ActionType.objects.update_or_create(name=name, defaults=fields)[0]


def a_to_do(*, title: str = "Q3 media plan", starts_at: datetime = NINE, **fields) -> ActionItem:
    values = {"ends_at": starts_at + timedelta(minutes=30), "changed_at": NINE} | fields
    return ActionItem.objects.create(title=title, starts_at=starts_at, **values)


def days(first: datetime, last: datetime | None = None) -> dict:
    """The times of an all-day item."""
    return {
        "starts_at": midnight(first.date()),
        "ends_at": midnight((last or first).date()),
        "all_day": True,
    }


def an_appointment(*, contacts: Sequence[Contact] = (), **fields) -> ActionItem:
    """An imported one: the owner is the organiser, the contacts are invited."""
    values = {
        "title": "Review rates",
        "type": a_type(IMPORTED, is_active=False),
        "origin": ActionItem.Origin.IMPORTED,
        "starts_at": NINE,
        "ends_at": NINE + timedelta(minutes=30),
        "changed_at": NINE,
    } | fields
    item = ActionItem.objects.create(**values)
    Attendee.objects.create(
        item=item, address=item.owner.email, name=item.owner.display_name, is_organiser=True
    )
    for contact in contacts:
        address = contact.addresses.first().address
        invited = Attendee.objects.create(item=item, address=address, name=contact.name)
        invited.contacts.add(contact)
    return item
