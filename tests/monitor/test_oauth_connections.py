"""OAuth connections: their pages, consent at Google (the sandbox), and what must never be shown."""

import logging
from collections.abc import Iterator
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.db import connection as database
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import system_settings
from accounts.models import AuditEntry, User
from crm_sync.providers.errors import ReconnectRequired
from crm_sync.providers.types import IntakeProfile
from email_sync.models import IntakeConnection, LedgerEntry
from monitor.oauth_forms import ConnectionForm
from tests.accounts.cast import HTMX
from tests.conftest import sandbox_server
from tests.email_cast import EmailCastTestCase
from tests.email_sync.fake_gmail import CAPTURE
from tests.email_sync.intake_cast import connection as make_connection

LIST = "/integration/oauth-connections/"
NEW = LIST + "new/"
CALLBACK = LIST + "callback/"
CLIENT_ID, CLIENT_SECRET = "sandbox-google-client", "sandbox-google-secret"
FRONT_DESK = "front.desk@northsound.example"
MODIFY = "https://www.googleapis.com/auth/gmail.modify"
READONLY = "https://www.googleapis.com/auth/gmail.readonly"


def page_of(connection: IntakeConnection) -> str:
    return f"{LIST}{connection.pk}/"


class FormTests(EmailCastTestCase):
    def setUp(self) -> None:
        self.sign_in(self.admin)

    def post(self, url: str = NEW, **values: str):
        typed = {"name": "gmail-intake", "description": "Copies", "expected_address": "",
                 "client_id": "client", "client_secret": "GOCSPX-hidden"}  # fmt: skip
        return self.client.post(url, typed | values, follow=True)

    def test_who_may_open_them(self):
        connection = make_connection()
        for url in (LIST, NEW, page_of(connection), page_of(connection) + "disconnect/"):
            self.assert_only({"admin"}, url)

    def test_who_may_change_them(self):
        connection = make_connection()
        before = IntakeConnection.objects.values().get()
        self.sign_in(self.manager)
        for url in (NEW, page_of(connection), *self.actions(connection)):
            assert self.client.post(url, {"name": "x"}).status_code == 404, url
        assert IntakeConnection.objects.values().get() == before

    def actions(self, connection: IntakeConnection) -> list[str]:
        return [page_of(connection) + name for name in ("test/", "disconnect/", "delete/")]

    def test_a_get_changes_nothing(self):
        connection = make_connection()
        before = IntakeConnection.objects.values().get()
        for url in (page_of(connection), *self.actions(connection)):
            self.client.get(url)
        assert IntakeConnection.objects.values().get() == before
        assert self.client.get(page_of(connection) + "test/").status_code == 405

    def test_an_empty_list_says_what_it_will_show(self):
        self.assertContains(self.client.get(LIST), "No connection yet")

    def test_the_list_shows_address_state_and_which_is_in_use(self):
        make_connection(name="gmail-intake")
        IntakeConnection.objects.create(name="spare")
        response = self.client.get(LIST)
        for words in ("gmail-intake", CAPTURE, "in use", "initializing", "spare", "not connected"):
            self.assertContains(response, words)

    def test_a_new_one_is_saved_and_what_comes_next_is_said(self):
        response = self.post()
        self.assertContains(response, "“gmail-intake” is saved. Now authorise it.")
        connection = IntakeConnection.objects.get()
        assert (connection.client_id, connection.client_secret) == ("client", "GOCSPX-hidden")
        self.assertRedirects(response, page_of(connection))
        assert AuditEntry.objects.get().about == "New connection “gmail-intake”"

    def test_the_secret_is_never_shown_again(self):
        connection = make_connection(client_secret="GOCSPX-1", refresh_token="1//hush")
        for url in (LIST, page_of(connection)):
            page = self.client.get(url).content.decode()
            assert "GOCSPX" not in page
            assert "1//hush" not in page
        self.assertContains(self.client.get(page_of(connection)), "It is set.")
        # Nor what was just typed, where the page comes back because of another field.
        self.assertNotContains(self.post(name=""), "GOCSPX")
        self.assertNotContains(self.post(), "GOCSPX")
        assert "GOCSPX" not in " ".join(AuditEntry.objects.values_list("about", flat=True))

    def test_a_secret_left_empty_stays(self):
        connection = make_connection(name="gmail-intake", client_id="client")
        self.post(page_of(connection), client_secret="", description="Other")
        connection.refresh_from_db()
        assert (connection.client_secret, connection.description) == ("secret", "Other")

    def test_saving_leaves_alone_what_a_pass_writes_meanwhile(self):
        connection = make_connection()

        def read_meanwhile(form: ConnectionForm) -> str:
            IntakeConnection.objects.update(history_id="77", lease_holder="worker")
            return "client"

        with mock.patch.object(ConnectionForm, "clean_client_id", read_meanwhile):
            self.post(page_of(connection))
        connection.refresh_from_db()
        assert connection.client_secret == "GOCSPX-hidden"
        assert (connection.history_id, connection.lease_holder) == ("77", "worker")

    def test_what_cannot_be_is_named(self):
        make_connection(name="gmail-intake")
        for values, sentence in (
            ({"name": ""}, "Give the connection an ID."),
            ({}, "There is a connection with this ID already."),
            ({"name": "b", "client_secret": ""}, "The client ID needs its client secret."),
            ({"name": "b", "expected_address": "nobody"}, "This is not an email address."),
        ):
            self.assertContains(self.post(**values), sentence)
        assert IntakeConnection.objects.count() == 1

    def test_what_has_to_be_authorised_again_is_said(self):
        connection = make_connection(name="gmail-intake", client_id="client")
        self.assertContains(self.post(page_of(connection), client_id="new"), "Re-authorise it")
        response = self.post(page_of(connection), client_id="new", expected_address=FRONT_DESK)
        self.assertContains(response, f"It still reads {CAPTURE}")

    def test_nothing_changed(self):
        connection = make_connection(name="gmail-intake", client_id="client", description="Copies")
        response = self.post(page_of(connection), client_secret="")
        self.assertContains(response, "Nothing was changed.")
        assert not AuditEntry.objects.exists()

    @override_settings(PUBLIC_URL="https://crm.example")
    def test_the_redirect_uri_is_there_to_be_copied(self):
        self.assertContains(
            self.client.get(NEW), 'data-copy="https://crm.example/integration/oauth-connections/'
        )

    def test_only_the_page_with_the_button_may_send_a_form_to_google(self):
        connection = make_connection()
        policy = self.client.get(page_of(connection)).headers["Content-Security-Policy"]
        assert "form-action 'self' https://accounts.google.com" in policy
        assert "accounts.google" not in self.client.get(LIST).headers["Content-Security-Policy"]

    # --- test, disconnect, delete -----------------------------------------------------------------
    def test_testing_asks_google_whose_mailbox_it_is(self):
        connection = make_connection()
        for answer, words in (
            (IntakeProfile(CAPTURE, "7"), f"Google lets us read {CAPTURE}."),
            (IntakeProfile(FRONT_DESK, "7"), f"That is not {CAPTURE}: authorise"),
            (ReconnectRequired("Google no longer accepts our access."), "no longer accepts"),
        ):
            gateway = mock.Mock()
            gateway.profile.side_effect = [answer]
            with mock.patch("monitor.oauth_views.gmail", return_value=gateway):
                response = self.client.post(page_of(connection) + "test/", headers=HTMX)
            self.assertContains(response, words)

    def test_disconnecting_asks_first_and_keeps_the_history(self):
        connection = make_connection()
        LedgerEntry.objects.create(
            user=self.rep, intake=connection, source="bcc", message_key="k", direction="sent",
            outcome="unmatched", reason="unknown-address",
        )  # fmt: skip
        url = page_of(connection) + "disconnect/"
        self.assertContains(self.client.get(url, headers=HTMX), "What was logged stays")
        self.assertContains(self.client.post(url, follow=True), f"{CAPTURE} is disconnected.")
        connection.refresh_from_db()
        assert (connection.address, connection.refresh_token) == ("", "")
        assert not connection.is_selected
        assert LedgerEntry.objects.get().intake == connection

    def test_only_a_disconnected_one_can_be_deleted(self):
        connection = make_connection()
        url = page_of(connection) + "delete/"
        self.assertContains(self.client.post(url), "Disconnect it first.")
        IntakeConnection.objects.update(address="", refresh_token="")
        self.assertContains(self.client.post(url, follow=True), "is deleted.")
        assert not IntakeConnection.objects.exists()

    def test_the_number_of_queries_does_not_grow(self):
        make_connection(name="0")
        with CaptureQueriesContext(database) as few:
            self.client.get(LIST)
        for number in range(1, 9):
            IntakeConnection.objects.create(name=str(number))
        with self.assertNumQueries(len(few)):
            self.client.get(LIST)


# --- consent at Google ----------------------------------------------------------------------------
@pytest.fixture(scope="module")
def sandbox_of_this_module(tmp_path_factory) -> Iterator[str]:
    with sandbox_server(tmp_path_factory.mktemp("google")) as url:
        yield url


@pytest.fixture
def sandbox(sandbox_of_this_module: str, settings) -> str:
    url = sandbox_of_this_module
    settings.GOOGLE_AUTH_URI = f"{url}/google/auth"
    settings.GOOGLE_TOKEN_URI = f"{url}/google/token"
    settings.GMAIL_API_ENDPOINT = url
    return url


@pytest.fixture
def ada(db, client: Client) -> User:
    ada = User.objects.create(username="ada", role=User.Role.ADMIN)
    client.force_login(ada)
    return ada


@pytest.fixture
def connection(db) -> IntakeConnection:
    return IntakeConnection.objects.create(
        name="gmail-intake",
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        expected_address=CAPTURE,
    )


def leave(client: Client, connection: IntakeConnection, **typed: str) -> str:
    """From the connection's page to Google; its address."""
    values = {
        "name": connection.name,
        "description": connection.description,
        "expected_address": connection.expected_address,
        "client_id": connection.client_id,
        "client_secret": "",
        "then": "authorise",
    }
    response = client.post(page_of(connection), values | typed)
    assert response.status_code == 302
    return response["Location"]


def consent(url: str, **choice: object) -> str:
    """What the browser does on Google's page; where it is sent back to."""
    form = {"decision": "allow", "account": CAPTURE} | choice
    answer = requests.post(url, data=form, allow_redirects=False, timeout=10)
    assert answer.status_code == 302, answer.text
    address = urlsplit(answer.headers["Location"])
    assert address.path == CALLBACK
    return f"{address.path}?{address.query}"


def come_back(client: Client, address: str, *, to: str) -> str:
    """What the page says that the callback leads to; its address holds nothing of Google's."""
    response = client.get(address, follow=True)
    assert response.redirect_chain[-1] == (to, 302)
    return " ".join(str(message) for message in response.context["messages"])


def test_consent_ends_on_the_page_with_the_address(client, ada, connection, sandbox, caplog):
    caplog.set_level(logging.DEBUG)
    url = leave(client, connection)
    query = parse_qs(urlsplit(url).query)
    assert query["login_hint"] == [CAPTURE]
    assert query["code_challenge_method"] == ["S256"]
    answer = consent(url)
    words = come_back(client, answer, to=page_of(connection))
    assert words.startswith(f"Connection Authorized for {CAPTURE}. To have it read, choose it")
    connection.refresh_from_db()
    assert connection.is_authorised
    assert connection.authorised_by == ada
    code = parse_qs(urlsplit(answer).query)["code"][0]
    for secret in (code, CLIENT_SECRET, connection.refresh_token, query["state"][0]):
        assert secret not in client.get(page_of(connection)).content.decode()
        assert secret not in caplog.text
    about = list(AuditEntry.objects.values_list("about", flat=True))
    assert about == ["Authorised the connection “gmail-intake”"]


def test_it_is_read_at_once_where_it_is_chosen_and_switched_on(client, ada, connection, sandbox):
    IntakeConnection.objects.update(is_selected=True)
    system_settings.change("bcc", "on")
    words = come_back(client, consent(leave(client, connection)), to=page_of(connection))
    assert "Its mail is being read now" in words
    connection.refresh_from_db()
    assert connection.next_due_at is not None
    assert connection.next_due_at <= timezone.now()


def test_what_was_typed_is_saved_on_the_way(client, ada, connection, sandbox):
    IntakeConnection.objects.update(client_secret="a slip")
    answer = consent(leave(client, connection, client_secret=CLIENT_SECRET))
    assert "Connection Authorized" in come_back(client, answer, to=page_of(connection))


def test_what_cannot_be_saved_goes_nowhere(client, ada, connection):
    values = {"name": "", "client_id": CLIENT_ID, "then": "authorise"}
    response = client.post(page_of(connection), values)
    assert "Give the connection an ID." in response.content.decode()
    assert "intake authorisation" not in client.session


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        ({"decision": "deny"}, "Consent was denied on Google's page"),
        ({"scope": ["openid", READONLY]}, "was not allowed to label mail"),
        ({"scope": ["openid", MODIFY]}, "was not allowed to read mail"),
        ({"account": FRONT_DESK}, f"Consent was given for {FRONT_DESK}"),
    ],
)
def test_each_wrong_choice_ends_on_the_page_with_what_to_do(
    client, ada, connection, sandbox, choice, sentence
):
    words = come_back(client, consent(leave(client, connection), **choice), to=page_of(connection))
    assert sentence in words
    connection.refresh_from_db()
    assert not connection.is_authorised
    assert not AuditEntry.objects.exists()


def test_a_wrong_client_secret(client, ada, connection, sandbox):
    answer = consent(leave(client, connection, client_secret="wrong"))
    words = come_back(client, answer, to=page_of(connection))
    assert "Google does not accept the client ID or the client secret." in words


def test_no_client_yet(client, ada, connection):
    IntakeConnection.objects.update(client_id="", client_secret="")
    connection.refresh_from_db()
    assert leave(client, connection) == page_of(connection)
    assert (
        "The client ID or the client secret is missing"
        in client.get(page_of(connection)).content.decode()
    )


def test_a_mailbox_that_another_connection_has(client, ada, connection, sandbox):
    other = make_connection(name="first")
    words = come_back(client, consent(leave(client, connection)), to=page_of(connection))
    assert "This mailbox is already connected as “first”." in words
    other.refresh_from_db()
    assert other.refresh_token == "token"


def test_google_out_of_reach(client, ada, connection, sandbox, settings):
    answer = consent(leave(client, connection))
    settings.GOOGLE_TOKEN_URI = "http://127.0.0.1:9/token"
    words = come_back(client, answer, to=page_of(connection))
    assert "Choose Authorize to try again in a moment." in words


def test_an_answer_used_twice(client, ada, connection, sandbox):
    answer = consent(leave(client, connection))
    come_back(client, answer, to=page_of(connection))
    assert "already used" in come_back(client, answer, to=LIST)


def test_an_answer_with_anothers_state(client, ada, connection, sandbox):
    stolen = consent(leave(client, connection))
    eve = User.objects.create(username="eve", role=User.Role.ADMIN)
    other = Client()
    other.force_login(eve)
    assert "not begun in this browser" in come_back(other, stolen, to=LIST)
    connection.refresh_from_db()
    assert not connection.is_authorised


@pytest.mark.parametrize(
    "query", ["", "error=access_denied", "code=x", "code=x&state=", "state=%00&code=%ff", "a=b"]
)
def test_an_odd_answer_is_explained(client, ada, connection, query):
    assert "not begun in this browser" in come_back(client, f"{CALLBACK}?{query}", to=LIST)


def test_the_code_stays_in_nobodys_address(client, connection, db):
    """Whoever has no business here is sent on without it: to sign in, or to a 404."""
    response = client.get(f"{CALLBACK}?code=4/secret&state=x", follow=True)
    assert [url for url, _ in response.redirect_chain] == [LIST, f"/login/?next={LIST}"]
    client.force_login(User.objects.create(username="rep"))
    response = client.get(f"{CALLBACK}?code=4/secret&state=x", follow=True)
    assert response.redirect_chain == [(LIST, 302)]
    assert response.status_code == 404


def test_the_callback_takes_a_get_only(client, ada):
    assert client.post(CALLBACK).status_code == 405
    assert client.head(CALLBACK).status_code == 405
