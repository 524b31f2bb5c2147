"""One email: its page, its text in a frame, deleting it and bringing it back."""

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from email_sync.models import Email, EmailParticipant, LedgerEntry
from tests.accounts.cast import HTMX
from tests.email_cast import EmailCastTestCase
from tests.email_factories import EmailFactory, LedgerEntryFactory, minutes_before_noon

READERS = {"rep", "manager", "admin"}


class DetailTestCase(EmailCastTestCase):
    name = ""

    @classmethod
    def setUpTestData(cls) -> None:
        super().setUpTestData()
        cls.email = EmailFactory(
            user=cls.rep, contacts=[cls.julia], subject="Q3 media plan", body_text="Hello\nMia"
        )

    @property
    def url(self) -> str:
        return reverse(f"email_sync:{self.name}", args=[self.email.pk])

    def change(self, **fields) -> None:
        Email.objects.filter(pk=self.email.pk).update(**fields)

    def is_hidden(self, email=None) -> bool:
        return not Email.objects.filter(pk=(email or self.email).pk, hidden_at=None).exists()


class EmailDetailTests(DetailTestCase):
    name = "email-detail"

    def test_it_shows_what_the_manual_names(self):
        self.change(direction="sent", sent_at=minutes_before_noon(0))
        EmailParticipant.objects.create(email=self.email, role="cc", address="cc@client.example")
        EmailParticipant.objects.create(email=self.email, role="bcc", address="bcc@client.example")
        response = self.client.get(self.url)
        for words in ("Q3 media plan", "Sent", "j.ruiz@harbor.example", "Sent to", "Cc", "Bcc"):
            self.assertContains(response, words)
        self.assertContains(response, "12 Nov 2026 12:00")
        self.assertContains(response, "Hello<br>Mia")
        self.assertContains(response, 'href="mailto:bcc@client.example"')

    def test_who_may_read_it(self):
        self.assert_only(READERS, self.url)

    def test_a_hidden_email_is_gone_for_everybody(self):
        self.change(hidden_at=minutes_before_noon(0))
        self.assert_only(set(), self.url)

    def test_it_opens_in_a_dialog_and_as_a_page(self):
        self.assertContains(self.client.get(self.url), "<!doctype html>")
        dialog = self.client.get(self.url, headers=HTMX)
        self.assertNotContains(dialog, "<!doctype html>")
        self.assertContains(dialog, "data-dialog-close")

    def test_it_links_contacts_and_customers(self):
        response = self.client.get(self.url)
        self.assertContains(response, self.julia.get_absolute_url())
        self.assertContains(response, self.customer.get_absolute_url())

    def test_it_names_each_source_once(self):
        for source in ("nylas", "bcc"):
            LedgerEntryFactory(
                user=self.rep, email=self.email, source=source, message_key=self.email.message_key
            )
        LedgerEntryFactory(user=self.rep, email=self.email, source="nylas", message_key="other")
        self.assertContains(self.client.get(self.url), "Nylas, BCC")

    def test_attachments_have_name_type_and_size(self):
        self.change(attachments=[{"name": "plan.pdf", "type": "application/pdf", "size": 2048}, {}])
        response = self.client.get(self.url)
        self.assertContains(response, "plan.pdf")
        self.assertContains(response, "application/pdf")
        self.assertContains(response, "2.0\xa0KB")

    def test_html_is_only_in_a_sandboxed_frame(self):
        self.change(body_html="<p>Bold claim</p>")
        response = self.client.get(self.url)
        body_url = reverse("email_sync:email-body", args=[self.email.pk])
        self.assertContains(response, f'src="{body_url}" sandbox height=')
        self.assertNotContains(response, "Bold claim")
        self.assertNotContains(response, "allow-")

    def test_plain_text_cannot_be_markup(self):
        self.change(body_text="<img src=x onerror=alert(1)>")
        self.assertNotContains(self.client.get(self.url), "<img src=x")

    def test_an_email_without_text_says_so(self):
        self.change(body_text="")
        self.assertContains(self.client.get(self.url), "This email has no text.")

    def test_a_reply_goes_to_who_wrote(self):
        self.assertContains(
            self.client.get(self.url),
            "mailto:j.ruiz@harbor.example?subject=Re%3A%20Q3%20media%20plan",
        )

    def test_a_reply_to_sent_mail_goes_to_whom_it_was_sent(self):
        self.change(direction="sent", subject="Re: Plan?&cc=x")
        self.assertContains(
            self.client.get(self.url),
            f"mailto:{self.rep.email}?subject=Re%3A%20Plan%3F%26cc%3Dx",
        )

    def test_copies_of_other_reps_are_named_to_who_may_read_them(self):
        copy = EmailFactory(
            user=self.teammate, message_key=self.email.message_key, contacts=[self.julia]
        )
        self.assertNotContains(self.client.get(self.url), copy.get_absolute_url())
        self.sign_in(self.manager)
        self.assertContains(self.client.get(self.url), copy.get_absolute_url())

    def test_the_number_of_queries_is_fixed(self):
        few = self.count_queries()
        for number in range(8):
            EmailParticipant.objects.create(email=self.email, role="cc", address=f"{number}@x.y")
            contact = self.kim if number == 0 else self.julia
            self.email.links.get_or_create(contact=contact)
        assert self.count_queries() == few
        assert few <= 9

    def count_queries(self) -> int:
        with CaptureQueriesContext(connection) as queries:
            self.client.get(self.url)
        return len(queries)

    def test_it_rejects_a_post(self):
        assert self.client.post(self.url).status_code == 405

    def test_anonymous_must_sign_in(self):
        self.assert_anonymous_must_sign_in(self.url)


class EmailBodyTests(DetailTestCase):
    name = "email-body"

    def test_it_is_the_text_alone(self):
        self.change(body_html="<p>Bold claim</p>")
        self.assertContains(self.client.get(self.url), "<body><p>Bold claim</p></body>")

    def test_plain_text_is_escaped_and_keeps_its_lines(self):
        self.change(body_text="<b>a</b>\nb")
        self.assertContains(self.client.get(self.url), "&lt;b&gt;a&lt;/b&gt;<br>b")

    def test_nothing_in_it_runs_loads_or_reaches_out(self):
        """Even if the sanitiser let a script through, the browser would not run it."""
        self.change(body_html="<script>alert(1)</script><img src=https://spy.example/x>")
        policy = self.client.get(self.url)["Content-Security-Policy"]
        directives = {
            part.split()[0]: part.split()[1:] for part in policy.split(";") if part.strip()
        }
        assert directives["sandbox"] == []
        assert directives["default-src"] == ["'none'"]
        assert directives["img-src"] == ["data:"]
        assert directives["style-src"] == ["'unsafe-inline'"]
        assert directives["frame-ancestors"] == ["'self'"]
        assert "script-src" not in directives

    def test_its_other_headers(self):
        response = self.client.get(self.url)
        assert response["X-Frame-Options"] == "SAMEORIGIN"
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Referrer-Policy"] == "no-referrer"
        assert "no-store" in response["Cache-Control"]

    def test_other_pages_keep_the_strict_policy(self):
        response = self.client.get(reverse("email_sync:email-detail", args=[self.email.pk]))
        assert "unsafe-inline" not in response["Content-Security-Policy"]
        assert response["X-Frame-Options"] == "DENY"

    def test_who_may_read_it(self):
        self.assert_only(READERS, self.url)

    def test_a_hidden_email_has_no_text(self):
        self.change(hidden_at=minutes_before_noon(0))
        self.assert_only(set(), self.url)

    def test_it_rejects_a_post(self):
        assert self.client.post(self.url).status_code == 405

    def test_anonymous_must_sign_in(self):
        self.assert_anonymous_must_sign_in(self.url)


class DeleteEmailTests(DetailTestCase):
    name = "email-delete"

    def test_it_hides_the_email_and_offers_undo(self):
        response = self.client.post(self.url, headers=HTMX)
        assert self.is_hidden()
        self.assertContains(response, "the mail app keeps it")
        self.assertContains(response, reverse("email_sync:email-restore", args=[self.email.pk]))
        assert "dialog-close" in response["HX-Trigger-After-Swap"]
        assert "emails-changed" in response["HX-Trigger-After-Swap"]

    def test_without_scripts_it_goes_on_to_a_page(self):
        response = self.client.post(self.url, follow=True)
        self.assertContains(response, "Undo")

    def test_the_row_stays_so_that_the_sync_does_not_bring_it_back(self):
        self.client.post(self.url)
        assert Email.objects.filter(pk=self.email.pk).exists()

    def test_the_history_keeps_its_entry(self):
        LedgerEntryFactory(user=self.rep, email=self.email)
        self.client.post(self.url)
        assert LedgerEntry.objects.count() == 1

    def test_a_rep_hides_the_own_copy_only(self):
        copy = EmailFactory(user=self.teammate, message_key=self.email.message_key)
        self.client.post(self.url)
        assert self.is_hidden()
        assert not self.is_hidden(copy)

    def test_a_manager_hides_what_is_shown_as_one(self):
        copy = EmailFactory(user=self.teammate, message_key=self.email.message_key)
        foreign = EmailFactory(user=self.stranger, message_key=self.email.message_key)
        self.sign_in(self.manager)
        self.client.post(self.url)
        assert self.is_hidden()
        assert self.is_hidden(copy)
        assert not self.is_hidden(foreign)

    def test_strangers_cannot(self):
        for user in (self.teammate, self.stranger, self.other_manager):
            self.sign_in(user)
            assert self.client.post(self.url).status_code == 404
        assert not self.is_hidden()

    def test_it_rejects_a_link(self):
        assert self.client.get(self.url).status_code == 405
        assert not self.is_hidden()

    def test_anonymous_must_sign_in(self):
        self.client.logout()
        assert self.client.post(self.url).status_code == 302
        assert not self.is_hidden()


class RestoreEmailTests(DetailTestCase):
    name = "email-restore"

    def test_it_brings_the_email_back(self):
        self.change(hidden_at=minutes_before_noon(0))
        response = self.client.post(self.url, headers=HTMX)
        assert not self.is_hidden()
        self.assertContains(response, "The email is back.")
        assert "emails-changed" in response["HX-Trigger-After-Swap"]

    def test_it_brings_back_what_was_deleted_together(self):
        copy = EmailFactory(user=self.teammate, message_key=self.email.message_key)
        self.sign_in(self.manager)
        self.client.post(reverse("email_sync:email-delete", args=[self.email.pk]))
        self.client.post(self.url)
        assert not self.is_hidden()
        assert not self.is_hidden(copy)

    def test_what_was_deleted_before_stays_deleted(self):
        copy = EmailFactory(
            user=self.teammate,
            message_key=self.email.message_key,
            hidden_at=minutes_before_noon(60),
        )
        self.sign_in(self.manager)
        self.client.post(reverse("email_sync:email-delete", args=[self.email.pk]))
        self.client.post(self.url)
        assert self.is_hidden(copy)

    def test_an_email_that_is_not_hidden(self):
        assert self.client.post(self.url).status_code == 404

    def test_strangers_cannot(self):
        self.change(hidden_at=minutes_before_noon(0))
        for user in (self.teammate, self.stranger, self.other_manager):
            self.sign_in(user)
            assert self.client.post(self.url).status_code == 404
        assert self.is_hidden()

    def test_it_rejects_a_link(self):
        assert self.client.get(self.url).status_code == 405
