"""Consent at Google: which answer is taken, and that any other changes nothing."""

from datetime import timedelta
from typing import Any

import pytest

from accounts.models import User
from crm_sync.providers.errors import PermanentError, ProviderError, TransientError
from crm_sync.providers.google_oauth import Begun
from crm_sync.providers.types import IntakeAuthorisation
from email_sync import authorising_intake
from email_sync.authorising_intake import LIFETIME, AuthorisationFailed, begin, complete
from email_sync.models import IntakeConnection
from tests.email_sync.fake_gateway import NOW
from tests.email_sync.fake_gmail import CAPTURE

ANSWER = "/callback/?code=4/secret&state="


class FakeGoogle:
    """Begins as Google does, and ends as the test says; remembers what it was given."""

    def __init__(self) -> None:
        self.answer: IntakeAuthorisation | ProviderError = IntakeAuthorisation(
            "1//refresh", CAPTURE, frozenset()
        )
        self.begun: dict[str, Any] = {}
        self.finished: list[dict[str, Any]] = []

    def begin(self, client_id: str, client_secret: str, **more: Any) -> Begun:
        self.begun = more
        return Begun(f"https://google.example/?state={more['state']}", f"verifier {more['state']}")

    def finish(self, client_id: str, client_secret: str, **more: Any) -> IntakeAuthorisation:
        self.finished.append({"client": (client_id, client_secret), **more})
        if isinstance(self.answer, ProviderError):
            raise self.answer
        return self.answer


@pytest.fixture
def google(monkeypatch) -> FakeGoogle:
    google = FakeGoogle()
    monkeypatch.setattr(authorising_intake, "google_oauth", google)
    return google


@pytest.fixture
def ada(db) -> User:
    return User.objects.create(username="ada", role=User.Role.ADMIN)


@pytest.fixture
def connection(db) -> IntakeConnection:
    return IntakeConnection.objects.create(
        name="Intake", client_id="client", client_secret="secret", expected_address=CAPTURE
    )


def state_of(session: dict[str, Any]) -> str:
    return str(session[authorising_intake._SESSION_KEY]["state"])


def come_back(session, ada, *, state: str | None = None, after: timedelta = timedelta(minutes=1)):
    state = state_of(session) if state is None else state
    return complete(session, answer_url=ANSWER + state, answer_state=state, by=ada, now=NOW + after)


def refused(session, ada, **more) -> AuthorisationFailed:
    """How it fails, with every connection as it was."""
    before = list(IntakeConnection.objects.order_by("pk").values())
    with pytest.raises(AuthorisationFailed) as failure:
        come_back(session, ada, **more)
    assert list(IntakeConnection.objects.order_by("pk").values()) == before
    return failure.value


def test_there_and_back(google, ada, connection):
    session: dict[str, Any] = {}
    url = begin(session, connection, by=ada, now=NOW)
    state = state_of(session)
    assert url == f"https://google.example/?state={state}"
    assert len(state) >= 40
    assert google.begun["redirect_uri"].endswith("/integration/oauth-connections/callback/")
    assert google.begun["login_hint"] == CAPTURE

    assert come_back(session, ada) == connection
    connection.refresh_from_db()
    assert (connection.address, connection.refresh_token) == (CAPTURE, "1//refresh")
    assert (connection.authorised_by, connection.authorised_at) == (ada, NOW + timedelta(minutes=1))
    [finished] = google.finished
    assert finished["client"] == ("client", "secret")
    assert finished["code_verifier"] == f"verifier {state}"
    assert finished["redirect_uri"] == google.begun["redirect_uri"]


def test_the_verifier_stays_out_of_the_address(google, ada, connection):
    session: dict[str, Any] = {}
    url = begin(session, connection, by=ada, now=NOW)
    assert session[authorising_intake._SESSION_KEY]["code_verifier"] not in url


def test_every_state_is_another(google, ada, connection):
    states = set()
    for _ in range(20):
        session: dict[str, Any] = {}
        begin(session, connection, by=ada, now=NOW)
        states.add(state_of(session))
    assert len(states) == 20


def test_an_answer_is_taken_once(google, ada, connection):
    session: dict[str, Any] = {}
    begin(session, connection, by=ada, now=NOW)
    state = state_of(session)
    come_back(session, ada)
    assert "already used" in str(refused(session, ada, state=state))
    assert len(google.finished) == 1


def test_a_failed_answer_is_used_up_too(google, ada, connection):
    google.answer = TransientError("Google could not be reached.")
    session: dict[str, Any] = {}
    begin(session, connection, by=ada, now=NOW)
    state = state_of(session)
    failure = refused(session, ada)
    assert str(failure) == (
        "Google could not be reached. The access stays as it was. "
        "Choose Authorize to try again in a moment."
    )
    assert failure.connection == connection
    google.answer = IntakeAuthorisation("1//refresh", CAPTURE, frozenset())
    assert "already used" in str(refused(session, ada, state=state))


@pytest.mark.parametrize("state", ["", "x", "Ünïcode", "é" * 2000])
def test_another_state_changes_nothing_and_uses_nothing_up(google, ada, connection, state):
    session: dict[str, Any] = {}
    begin(session, connection, by=ada, now=NOW)
    failure = refused(session, ada, state=state)
    assert "not begun in this browser" in str(failure)
    assert failure.connection is None
    assert not google.finished
    assert come_back(session, ada) == connection


def test_a_session_in_which_nothing_was_begun_gets_nothing(google, ada, connection):
    begin({}, connection, by=ada, now=NOW)
    assert "not begun" in str(refused({}, ada, state=google.begun["state"]))
    assert not google.finished


def test_it_expires(google, ada, connection):
    session: dict[str, Any] = {}
    begin(session, connection, by=ada, now=NOW)
    assert "has expired" in str(refused(session, ada, after=LIFETIME))
    assert not google.finished
    begin(session, connection, by=ada, now=NOW)
    assert come_back(session, ada, after=LIFETIME - timedelta(seconds=1)) == connection


def test_it_is_the_persons_who_began_it(google, ada, connection):
    """Somebody else signed in within the same browser meanwhile."""
    session: dict[str, Any] = {}
    begin(session, connection, by=ada, now=NOW)
    other = User.objects.create(username="eve", role=User.Role.ADMIN)
    assert "not begun" in str(refused(session, other))
    assert not google.finished


def test_a_second_beginning_replaces_the_first(google, ada, connection):
    other = IntakeConnection.objects.create(name="Other", client_id="c2", client_secret="s2")
    session: dict[str, Any] = {}
    begin(session, connection, by=ada, now=NOW)
    first = state_of(session)
    begin(session, other, by=ada, now=NOW)
    assert "not begun" in str(refused(session, ada, state=first))
    assert come_back(session, ada) == other
    connection.refresh_from_db()
    assert not connection.is_authorised


def test_a_connection_that_is_gone_meanwhile(google, ada, connection):
    session: dict[str, Any] = {}
    begin(session, connection, by=ada, now=NOW)
    connection.delete()
    assert refused(session, ada).connection is None


def test_another_mailbox_than_the_expected_one_overwrites_nothing(google, ada, connection):
    google.answer = IntakeAuthorisation("1//theirs", "front.desk@northsound.example", frozenset())
    session: dict[str, Any] = {}
    begin(session, connection, by=ada, now=NOW)
    sentence = str(refused(session, ada))
    assert "front.desk@northsound.example" in sentence
    assert f"this connection is for {CAPTURE}" in sentence


def test_what_failed_at_google_is_said_and_keeps_the_former_access(google, ada, connection):
    session: dict[str, Any] = {}
    begin(session, connection, by=ada, now=NOW)
    come_back(session, ada)
    google.answer = PermanentError("Google gave access for one hour only.", code="no-refresh-token")
    begin(session, connection, by=ada, now=NOW)
    assert str(refused(session, ada)) == (
        "Google gave access for one hour only. The access stays as it was."
    )
