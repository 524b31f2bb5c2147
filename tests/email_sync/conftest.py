"""A small cast for the sync: Mia with her mailbox, two customers, one contact of hers each."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from unittest import mock

import pytest
from django.utils import timezone

from accounts.connecting import adopt_grant
from accounts.models import Contact, Customer, Mailbox, MailboxSync, MyContact, User
from accounts.passes import PassReport
from accounts.system_settings import Settings, current
from crm_sync.providers.types import Grant
from email_sync.models import LedgerEntry
from email_sync.sync import sync_mailbox
from tests.email_sync.fake_gateway import NOW, FakeGateway


@dataclass
class Cast:
    """Mia and what is hers; `sync()` runs one pass at `now` against `gateway`."""

    user: User
    mailbox: Mailbox
    ana: Contact
    kim: Contact
    lee: Contact
    now: datetime = NOW
    gateway: FakeGateway = field(default_factory=FakeGateway)

    @property
    def row(self) -> MailboxSync:
        return MailboxSync.objects.select_related("mailbox__user").get(
            mailbox__user=self.user, kind="email"
        )

    def sync(self, settings: Settings | None = None) -> PassReport:
        with mock.patch.object(timezone, "now", return_value=self.now):
            return sync_mailbox(self.row, gateway=self.gateway, settings=settings or current())

    def ledger(self) -> dict[str, str]:
        """Reason by provider id."""
        return dict(LedgerEntry.objects.filter(user=self.user).values_list("provider_id", "reason"))


def make_contact(customer: Customer, first_name: str, *addresses: str) -> Contact:
    contact = Contact.objects.create(customer=customer, first_name=first_name)
    contact.set_addresses(addresses)
    return contact


def connect(user: User, address: str, **more: object) -> Mailbox:
    grant = Grant(id=f"grant-{user.username}", email=address, provider="google")
    mailbox = adopt_grant(user, grant, now=NOW, settings=Settings(), **more)
    mailbox.email_enabled = True
    mailbox.save()
    return mailbox


@pytest.fixture
def cast(db) -> Cast:
    mia = User.objects.create(
        username="mia", email="mia@northsound.example", first_name="Mia", last_name="Berg"
    )
    mia.aliases.create(address="m.berg@northsound.example")
    lumen = Customer.objects.create(number="1001", name="Lumen")
    harbor = Customer.objects.create(number="1002", name="Harbor Foods")
    ana = make_contact(lumen, "Ana", "ana@lumen.example", "ana.private@mail.example")
    kim = make_contact(harbor, "Kim", "kim@harbor.example")
    lee = make_contact(harbor, "Lee", "lee@harbor.example")
    MyContact.objects.flag(mia, [ana, kim])
    return Cast(mia, connect(mia, "mia@northsound.example"), ana, kim, lee)


@pytest.fixture
def day() -> timedelta:
    return timedelta(days=1)
