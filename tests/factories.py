"""People and what they own, for tests of every room."""

from datetime import UTC, datetime

from factory.declarations import LazyAttribute, SelfAttribute, Sequence, SubFactory
from factory.django import DjangoModelFactory, Password
from factory.faker import Faker
from factory.helpers import post_generation

from accounts.models import (
    Contact,
    Customer,
    Mailbox,
    MailboxSync,
    MyContact,
    User,
)

PASSWORD = "right horse"


class UserFactory(DjangoModelFactory[User]):
    """A rep. Signs in with PASSWORD."""

    class Meta:
        model = User
        skip_postgeneration_save = True

    username = Sequence(lambda n: f"user{n}")
    first_name = Faker("first_name")
    last_name = Faker("last_name")
    email = LazyAttribute(lambda user: f"{user.username}@northsound.example")
    password = Password(PASSWORD)


class CustomerFactory(DjangoModelFactory[Customer]):
    class Meta:
        model = Customer

    number = Sequence(lambda n: f"C{1000 + n}")
    name = Sequence(lambda n: f"Customer {n}")


class ContactFactory(DjangoModelFactory[Contact]):
    """A contact; `addresses=[…]` are theirs, one made up otherwise; `my_contact_of=[…]` flags."""

    class Meta:
        model = Contact
        skip_postgeneration_save = True

    customer = SubFactory(CustomerFactory)
    first_name = Faker("first_name")
    last_name = Faker("last_name")

    @post_generation
    def addresses(self: Contact, create, extracted, **kwargs):
        self.set_addresses(extracted if extracted is not None else [f"c{self.pk}@client.example"])

    @post_generation
    def my_contact_of(self: Contact, create, extracted, **kwargs):
        for user in extracted or ():
            MyContact.objects.flag(user, [self])


class MailboxFactory(DjangoModelFactory[Mailbox]):
    """An authorised mailbox with email on; both syncs exist, nothing was read yet."""

    class Meta:
        model = Mailbox
        skip_postgeneration_save = True

    user = SubFactory(UserFactory)
    address = LazyAttribute(lambda mailbox: mailbox.user.email)
    provider = Mailbox.Provider.GOOGLE
    email_enabled = True
    grant_id = Sequence(lambda n: f"grant-{n}")
    authorised_address = SelfAttribute("address")
    authorised_at = datetime(2026, 11, 1, 9, 14, tzinfo=UTC)
    sync_from = datetime(2026, 10, 2, 9, 14, tzinfo=UTC)

    @post_generation
    def syncs(self: Mailbox, create, extracted, **kwargs):
        """`syncs__last_success_at=…` and so on describe both."""
        for kind in MailboxSync.Kind.values:
            MailboxSync.objects.create(mailbox=self, kind=kind, **kwargs)


class RunningMailboxFactory(MailboxFactory):
    """One that has read everything and is healthy."""

    syncs__listed_at = datetime(2026, 11, 1, 9, 15, tzinfo=UTC)
    syncs__backfilled_at = datetime(2026, 11, 1, 9, 30, tzinfo=UTC)
    syncs__last_success_at = datetime(2026, 11, 1, 9, 30, tzinfo=UTC)
