"""The cast of the intake: Mia, who has no mailbox connected, a colleague, and the Gmail mailbox."""

from dataclasses import dataclass, field
from datetime import datetime
from unittest import mock

from django.utils import timezone

from accounts.models import Contact, Customer, MyContact, User
from accounts.passes import PassReport
from accounts.system_settings import Settings
from email_sync.intake import sync_intake
from email_sync.models import Email, IntakeConnection, IntakeReview, LedgerEntry
from tests.email_sync.conftest import make_contact
from tests.email_sync.fake_gateway import NOW
from tests.email_sync.fake_gmail import ANA, CAPTURE, MIA, FakeGmail

ON = Settings(bcc=True, fwd=True, company_domains=("northsound.example",))


def connection(**fields: object) -> IntakeConnection:
    values = {
        "name": "Intake",
        "client_id": "client",
        "client_secret": "secret",
        "refresh_token": "token",
        "address": CAPTURE,
        "authorised_at": NOW,
        "is_selected": True,
        "next_due_at": NOW,
    }
    return IntakeConnection.objects.create(**(values | fields))


@dataclass
class IntakeCast:
    mia: User
    sam: User
    admin: User
    ana: Contact
    kim: Contact
    connection: IntakeConnection
    now: datetime = NOW
    settings: Settings = ON
    gmail: FakeGmail = field(default_factory=FakeGmail)

    @property
    def row(self) -> IntakeConnection:
        return IntakeConnection.objects.get(pk=self.connection.pk)

    def sync(self, settings: Settings | None = None) -> PassReport:
        with mock.patch.object(timezone, "now", return_value=self.now):
            return sync_intake(self.row, gateway=self.gmail, settings=settings or self.settings)

    def deliver(self, raw: bytes, id: str = "g1", **more: object) -> LedgerEntry | None:
        """Deliver a message, run a pass, and return the message's entry."""
        self.gmail.deliver(id, raw, **more)
        assert self.sync().error is None
        return LedgerEntry.objects.filter(provider_id=id).first()

    def ledger(self) -> dict[str, str]:
        """Reason by Gmail's id."""
        entries = LedgerEntry.objects.exclude(intake=None)
        return dict(entries.values_list("provider_id", "reason"))

    def email(self) -> Email:
        return Email.objects.get()

    def review(self) -> IntakeReview:
        return IntakeReview.objects.open().get()


def make_cast() -> IntakeCast:
    mia = User.objects.create(
        username="mia", email=MIA, first_name="Mia", last_name="Berg", time_zone="UTC"
    )
    sam = User.objects.create(username="sam", email="sam@northsound.example", first_name="Sam")
    admin = User.objects.create(
        username="ada", email="ada@northsound.example", first_name="Ada", role=User.Role.ADMIN
    )
    lumen = Customer.objects.create(number="1001", name="Lumen")
    harbor = Customer.objects.create(number="1002", name="Harbor Foods")
    ana = make_contact(lumen, "Ana", ANA)
    kim = make_contact(harbor, "Kim", "kim@harbor.example")
    make_contact(harbor, "Lee", "lee@harbor.example")
    MyContact.objects.flag(mia, [ana, kim])
    return IntakeCast(mia, sam, admin, ana, kim, connection())
