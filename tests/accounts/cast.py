"""The people of these tests, and a stand-in for the provider."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from unittest import mock
from urllib.parse import urlencode

from django.test import TestCase

from accounts.models import Contact, Customer, User
from accounts.sections import Section
from crm_sync.providers.errors import ProviderError
from crm_sync.providers.types import Calendar, Folder, Grant
from tests.factories import ContactFactory, CustomerFactory, UserFactory

HTMX = {"HX-Request": "true"}


class CastTestCase(TestCase):
    """A rep with a customer and two contacts; a teammate, their manager, an admin, a stranger."""

    manager: User
    rep: User
    teammate: User
    stranger: User
    admin: User
    customer: Customer
    julia: Contact
    kim: Contact

    @classmethod
    def setUpTestData(cls) -> None:
        cls.manager = UserFactory.create(username="lena", role=User.Role.MANAGER)
        cls.rep = UserFactory.create(
            username="mia", first_name="Mia", last_name="Berg", manager=cls.manager
        )
        cls.teammate = UserFactory.create(username="sam", manager=cls.manager)
        cls.stranger = UserFactory.create(username="eve")
        cls.admin = UserFactory.create(username="ada", role=User.Role.ADMIN)
        cls.customer = CustomerFactory.create(
            name="Harbor Foods", number="C7", account_manager=cls.rep
        )
        cls.julia = ContactFactory.create(
            customer=cls.customer,
            first_name="Julia",
            last_name="Ruiz",
            addresses=["j.ruiz@harbor.example"],
        )
        cls.kim = ContactFactory.create(customer=cls.customer, first_name="Kim", last_name="Lee")

    def setUp(self) -> None:
        self.client.force_login(self.rep)

    def sign_in(self, user: User) -> None:
        self.client.force_login(user)

    def messages_of(self, response) -> str:
        """What the next page tells the user."""
        return " ".join(str(message) for message in response.context["messages"])

    def assert_anonymous_must_sign_in(self, url: str) -> None:
        self.client.logout()
        response = self.client.get(url)
        self.assertRedirects(response, f"/login/?{urlencode({'next': url})}".replace("%2F", "/"))


@contextmanager
def one_section() -> Iterator[None]:
    """A section of another room, whatever the rooms above have registered."""
    section = Section(
        "emails", "Emails", "accounts:customer", "accounts:contact", lambda user: True
    )
    with mock.patch("accounts.sections._sections", [section]):
        yield


class StandInGateway:
    """Says what the test tells it to; an exception given as an answer is raised."""

    def __init__(self) -> None:
        self.provider: str | ProviderError | None = "google"
        self.exchanged: Grant | ProviderError = Grant("grant-1", "mia@northsound.example", "google")
        self.listed: list[Folder] | ProviderError = []
        self.calendars_listed: list[Calendar] | ProviderError = []
        self.revoking: ProviderError | None = None
        self.calls: list[tuple[str, object]] = []

    def detect_provider(self, address: str) -> str | None:
        return _answer(self.provider)

    def authorisation_url(
        self, *, provider: str, redirect_uri: str, state: str, login_hint: str
    ) -> str:
        query = {"provider": provider, "redirect_uri": redirect_uri, "state": state}
        return f"https://nylas.example/auth?{urlencode({**query, 'login_hint': login_hint})}"

    def exchange_code(self, code: str, *, redirect_uri: str) -> Grant:
        self.calls.append(("exchange", (code, redirect_uri)))
        return _answer(self.exchanged)

    def folders(self, grant_id: str) -> list[Folder]:
        self.calls.append(("folders", grant_id))
        return _answer(self.listed)

    def calendars(self, grant_id: str) -> list[Calendar]:
        self.calls.append(("calendars", grant_id))
        return _answer(self.calendars_listed)

    def revoke_grant(self, grant_id: str) -> None:
        self.calls.append(("revoke", grant_id))
        _answer(self.revoking)


def _answer(value):
    if isinstance(value, ProviderError):
        raise value
    return value


@contextmanager
def stand_in() -> Iterator[StandInGateway]:
    """The provider's stand-in at the one seam."""
    gateway = StandInGateway()
    with mock.patch("accounts.gateway.nylas", return_value=gateway):
        yield gateway


def at(hour: int, minute: int = 0, *, day: int = 22) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)
