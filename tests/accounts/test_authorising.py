"""Authorising a mailbox: every way it can go, and nothing half-saved."""

from datetime import timedelta
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from accounts.models import Mailbox, MailboxSync
from accounts.signals import sync_wanted
from crm_sync.providers.errors import PermanentError, TransientError
from crm_sync.providers.types import Grant
from tests.accounts.cast import CastTestCase, stand_in
from tests.factories import MailboxFactory

AUTHORISE = "/profile/email-integration/authorise/"
CALLBACK = "/profile/email-integration/callback/"
TAB = "/profile/email-integration/"


class AuthoriseTests(CastTestCase):
    def get(self, **answers):
        with stand_in() as gateway:
            vars(gateway).update(answers)
            return self.client.get(AUTHORISE)

    def test_it_shows_the_detected_provider_and_the_others(self):
        response = self.get(provider="microsoft")
        self.assertContains(response, "Continue with Microsoft 365")
        self.assertContains(response, "Select a different provider")
        for label in ("Google", "Microsoft Exchange", "IMAP", "Yahoo", "iCloud"):
            self.assertContains(response, label)

    def test_a_provider_that_cannot_be_told_or_is_unknown_is_chosen(self):
        for provider in (None, "zoom"):
            response = self.get(provider=provider)
            self.assertContains(response, "could not tell the provider")
            self.assertNotContains(response, "Continue with")

    def test_a_failed_look_up_is_explained_and_does_not_end_it(self):
        response = self.get(provider=TransientError("Nylas did not answer."))
        self.assertContains(response, "Nylas did not answer.")
        self.assertContains(response, "Google")

    def test_an_address_is_needed(self):
        self.rep.email = ""
        self.rep.save()
        self.assertRedirects(self.get(), TAB)

    def test_it_goes_to_the_provider_with_a_state_and_a_login_hint(self):
        MailboxFactory.create(user=self.rep, address="mia@other.example", grant_id="")
        with stand_in():
            response = self.client.post(AUTHORISE, {"provider": "google"})
        query = parse_qs(urlsplit(response["Location"]).query)
        assert query["provider"] == ["google"]
        assert query["login_hint"] == ["mia@other.example"]
        assert query["redirect_uri"] == [settings.PUBLIC_URL + CALLBACK]
        assert len(query["state"][0]) >= 40

    def test_every_beginning_has_a_state_of_its_own(self):
        states = set()
        for _ in range(3):
            with stand_in():
                location = self.client.post(AUTHORISE, {"provider": "google"})["Location"]
            states.add(parse_qs(urlsplit(location).query)["state"][0])
        assert len(states) == 3

    def test_beginning_stores_nothing(self):
        with stand_in():
            self.client.post(AUTHORISE, {"provider": "google"})
        assert not Mailbox.objects.exists()

    def test_nonsense_is_refused(self):
        with stand_in():
            response = self.client.post(AUTHORISE, {"provider": "zoom"}, follow=True)
        self.assertContains(response, "Choose your mail provider first.")

    def test_only_this_page_may_send_a_form_to_the_provider(self):
        policy = self.get()["Content-Security-Policy"]
        assert "form-action 'self' https:" in policy.replace(settings.NYLAS_API_URI + " ", "")

    def test_it_rejects_other_methods(self):
        assert self.client.delete(AUTHORISE).status_code == 405

    def test_anonymous_must_sign_in(self):
        self.assert_anonymous_must_sign_in(AUTHORISE)


class CallbackTests(CastTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.gateway = self.enterContext(stand_in())
        self.woken = mock.Mock()
        sync_wanted.connect(self.woken)
        self.addCleanup(sync_wanted.disconnect, self.woken)

    def begin(self) -> str:
        """The state that the provider will send back."""
        location = self.client.post(AUTHORISE, {"provider": "google"})["Location"]
        return parse_qs(urlsplit(location).query)["state"][0]

    def come_back(self, **answer: str) -> str:
        response = self.client.get(CALLBACK, answer, follow=True)
        self.assertRedirects(response, TAB)
        return self.messages_of(response)

    def assert_nothing_is_stored(self) -> None:
        assert not Mailbox.objects.filter(user=self.rep).exists()
        assert not MailboxSync.objects.filter(mailbox__user=self.rep).exists()
        self.woken.assert_not_called()

    # --- it works --------------------------------------------------------------------------
    def test_the_code_is_exchanged_and_the_grant_stored(self):
        words = self.come_back(state=self.begin(), code="abc")
        assert "Connection Authorized for mia@northsound.example" in words
        assert self.gateway.calls == [("exchange", ("abc", settings.PUBLIC_URL + CALLBACK))]
        mailbox = self.rep.mailbox
        assert (mailbox.grant_id, mailbox.provider) == ("grant-1", "google")

    def test_the_grant_is_not_readable_in_the_database(self):
        self.come_back(state=self.begin(), code="abc")
        with connection.cursor() as cursor:
            cursor.execute("SELECT grant_id FROM accounts_mailbox")
            assert "grant-1" not in str(cursor.fetchall())

    def test_email_sync_is_switched_on_and_the_first_pass_wanted_at_once(self):
        with self.captureOnCommitCallbacks(execute=True):
            self.come_back(state=self.begin(), code="abc")
        mailbox = self.rep.mailbox
        assert mailbox.email_enabled
        assert mailbox.syncs.get(kind="email").next_due_at <= timezone.now()  # type: ignore[operator]
        self.woken.assert_called()

    def test_the_address_is_compared_normalised(self):
        self.gateway.exchanged = Grant("grant-1", "Mia@NorthSound.Example", "google")
        assert "Connection Authorized" in self.come_back(state=self.begin(), code="abc")

    def test_authorising_again_keeps_the_start_and_clears_the_rejection(self):
        mailbox = MailboxFactory.create(
            user=self.rep, rejected_at=timezone.now(), rejection="No more."
        )
        start = mailbox.sync_from
        self.come_back(state=self.begin(), code="abc")
        mailbox.refresh_from_db()
        assert (mailbox.sync_from, mailbox.rejected_at) == (start, None)
        assert mailbox.grant_id == "grant-1"

    # --- it does not -----------------------------------------------------------------------
    def test_denied_consent(self):
        words = self.come_back(state=self.begin(), error="access_denied")
        assert "was not given your consent" in words
        self.assert_nothing_is_stored()

    def test_denied_consent_ends_the_state(self):
        state = self.begin()
        self.come_back(state=state, error="access_denied")
        assert "already used" in self.come_back(state=state, code="abc")
        self.assert_nothing_is_stored()

    def test_another_error_of_the_provider_without_its_markup(self):
        words = self.come_back(state=self.begin(), error="server_error", error_code="<b>25012</b>")
        assert "could not complete the authorisation" in words
        assert "<b>" not in words
        self.assert_nothing_is_stored()

    def test_a_wrong_state(self):
        self.begin()
        assert "was not begun in this browser" in self.come_back(state="x", code="abc")
        assert self.gateway.calls == []
        self.assert_nothing_is_stored()

    def test_a_wrong_state_leaves_the_right_one_alone(self):
        state = self.begin()
        self.come_back(state="x", code="abc")
        assert "Connection Authorized" in self.come_back(state=state, code="abc")

    def test_no_state_and_no_beginning(self):
        for answer in ({"code": "abc"}, {"state": "", "code": "abc"}, {}):
            assert "was not begun in this browser" in self.come_back(**answer)
        self.assert_nothing_is_stored()

    def test_an_expired_state(self):
        state = self.begin()
        later = timezone.now() + timedelta(minutes=10, seconds=1)
        with mock.patch("django.utils.timezone.now", return_value=later):
            assert "has expired" in self.come_back(state=state, code="abc")
        assert self.gateway.calls == []
        self.assert_nothing_is_stored()

    def test_a_reused_state(self):
        state = self.begin()
        self.come_back(state=state, code="abc")
        assert "already used" in self.come_back(state=state, code="abc")
        assert len(self.gateway.calls) == 1

    def test_a_reused_code(self):
        self.gateway.exchanged = PermanentError("The code was used before.")
        words = self.come_back(state=self.begin(), code="abc")
        assert "The code was used before." in words
        assert "Click Authorize to try again" in words
        self.assert_nothing_is_stored()

    def test_an_exchange_that_fails(self):
        self.gateway.exchanged = TransientError("Nylas did not answer in time.")
        assert "did not answer in time" in self.come_back(state=self.begin(), code="abc")
        self.assert_nothing_is_stored()

    def test_an_answer_without_a_code(self):
        assert "held no code" in self.come_back(state=self.begin())
        self.assert_nothing_is_stored()

    def test_a_state_of_another_user_in_the_same_browser(self):
        state = self.begin()
        pending = self.client.session["authorisation"]
        self.sign_in(self.teammate)
        session = self.client.session
        session["authorisation"] = pending
        session.save()
        assert "was not begun in this browser" in self.come_back(state=state, code="abc")
        assert not Mailbox.objects.exists()

    def test_a_grant_of_another_user(self):
        MailboxFactory.create(user=self.teammate, grant_id="grant-1")
        words = self.come_back(state=self.begin(), code="abc")
        assert "already connected for another user" in words
        self.assert_nothing_is_stored()
        assert self.teammate.mailbox.grant_id == "grant-1"

    def test_a_different_address_than_expected(self):
        self.gateway.exchanged = Grant("grant-2", "mia@private.example", "google")
        words = self.come_back(state=self.begin(), code="abc")
        assert "You signed in as mia@private.example" in words
        assert "mia@northsound.example was to be authorised" in words
        self.assert_nothing_is_stored()

    def test_a_different_address_leaves_the_present_connection_alone(self):
        MailboxFactory.create(user=self.rep, grant_id="grant-0")
        self.gateway.exchanged = Grant("grant-2", "mia@private.example", "google")
        self.come_back(state=self.begin(), code="abc")
        assert Mailbox.objects.get(user=self.rep).grant_id == "grant-0"

    def test_it_rejects_a_post(self):
        assert self.client.post(CALLBACK).status_code == 405


@pytest.mark.django_db
def test_whoever_is_signed_out_is_sent_on_without_the_code(client):
    answer = client.get(CALLBACK, {"code": "a-code", "state": "a-state"})
    assert answer.status_code == 302
    assert "a-code" not in answer.url
    onward = client.get(answer.url)
    assert onward.url.startswith("/login/")
    assert "a-code" not in onward.url
