"""Mail, for tests of every room that shows it."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import factory
from factory.django import DjangoModelFactory

from accounts.models import Contact, User
from email_sync.models import (
    DailyCount,
    Email,
    EmailContact,
    EmailParticipant,
    FolderCursor,
    LedgerEntry,
)
from tests.factories import MailboxFactory, UserFactory

NOON = datetime(2026, 11, 12, 12, tzinfo=UTC)


def minutes_before_noon(minutes: int) -> datetime:
    return NOON - timedelta(minutes=minutes)


class EmailFactory(DjangoModelFactory):
    """A received email, a conversation of its own; `contacts=[…]` links it and names who wrote."""

    class Meta:
        model = Email
        skip_postgeneration_save = True

    user = factory.SubFactory(UserFactory)
    message_key = factory.Sequence(lambda n: f"key-{n}")
    message_id = factory.LazyAttribute(lambda email: f"<{email.message_key}@client.example>")
    thread_key = factory.LazyAttribute(lambda email: f"thread-{email.message_key}")
    direction = Email.Direction.RECEIVED
    subject = factory.Sequence(lambda n: f"Subject {n}")
    sent_at = factory.Sequence(minutes_before_noon)
    body_text = "The text."

    @factory.post_generation
    def contacts(self: Email, create, extracted: Iterable[Contact] | None, **kwargs):
        for contact in extracted or ():
            EmailContact.objects.create(email=self, contact=contact)
            address = contact.addresses.first().address
            EmailParticipant.objects.create(
                email=self, role="from", address=address, name=contact.name
            )
        EmailParticipant.objects.create(email=self, role="to", address=self.user.email)


class LedgerEntryFactory(DjangoModelFactory):
    """A received message that nobody in the CRM wrote; `email=…` makes it a matched one."""

    class Meta:
        model = LedgerEntry

    class Params:
        matched = factory.Trait(
            email=factory.SubFactory(EmailFactory, user=factory.SelfAttribute("..user")),
            outcome="matched",
            reason="matched",
            message_key=factory.SelfAttribute("email.message_key"),
            subject=factory.SelfAttribute("email.subject"),
        )

    user = factory.SubFactory(UserFactory)
    source = "nylas"
    message_key = factory.Sequence(lambda n: f"entry-{n}")
    direction = "received"
    outcome = "unmatched"
    reason = "unknown-address"
    subject = factory.Sequence(lambda n: f"Subject {n}")
    sent_at = factory.Sequence(minutes_before_noon)
    from_address = "news@elsewhere.example"
    to = factory.LazyAttribute(lambda entry: [entry.user.email])
    trace = factory.LazyAttribute(
        lambda entry: {
            "rule": entry.reason,
            "addresses": [seen(entry.from_address), seen(entry.user.email, is_own=True, role="to")],
            "left_out": 0,
        }
    )


def seen(
    address: str,
    *contacts: Contact,
    role: str = "from",
    is_own: bool = False,
    is_mine: bool = False,
) -> dict[str, object]:
    """One address of a trace, and whose it is."""
    people = [
        {
            "id": contact.pk,
            "name": contact.name,
            "customer": contact.customer.name,
            "customer_id": contact.customer_id,
            "customer_number": contact.customer.number,
            "is_mine": is_mine,
        }
        for contact in contacts
    ]
    return {"address": address, "role": role, "is_own": is_own, "contacts": people}


class FolderCursorFactory(DjangoModelFactory):
    class Meta:
        model = FolderCursor

    mailbox = factory.SubFactory(MailboxFactory)
    folder_id = factory.Sequence(lambda n: f"folder-{n}")
    name = "Inbox"


def count(user: User, outcome: str, number: int, *, day: date, source: str = "nylas") -> None:
    """Daily counts as the sync would have written them."""
    DailyCount.objects.add(user.pk, day, {(source, outcome): number})
