"""The emails of a customer and of a contact."""

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Mailbox
from accounts.sections import sections_for
from email_sync.models import EmailParticipant
from email_sync.queries import THREAD_PREVIEW
from tests.accounts.cast import HTMX
from tests.email_cast import EmailCastTestCase
from tests.email_factories import EmailFactory, minutes_before_noon
from tests.factories import MailboxFactory


class CustomerEmailsTests(EmailCastTestCase):
    @property
    def url(self) -> str:
        return reverse("email_sync:customer-emails", args=[self.customer.pk])

    def make_email(self, user=None, contacts=None, **fields):
        contacts = contacts if contacts is not None else [self.julia]
        return EmailFactory(user=user or self.rep, contacts=contacts, **fields)

    def test_it_lists_subject_direction_who_and_when(self):
        email = self.make_email(subject="Q3 media plan", direction="sent")
        response = self.client.get(self.url)
        self.assertContains(response, "Q3 media plan")
        self.assertContains(response, "sent")
        self.assertContains(response, 'href="mailto:j.ruiz@harbor.example"')
        self.assertContains(response, "Julia Ruiz")
        self.assertContains(response, "<time")
        self.assertContains(response, f'href="{email.get_absolute_url()}" data-dialog')

    def test_a_rep_sees_own_mail_only(self):
        self.make_email(user=self.teammate, subject="Not Mia's")
        self.assertNotContains(self.client.get(self.url), "Not Mia")

    def test_who_sees_whose(self):
        self.make_email(subject="Secret plan")
        readers = {
            self.rep: True,
            self.manager: True,
            self.admin: True,
            self.teammate: False,
            self.stranger: False,
            self.other_manager: False,
        }
        for user, is_reader in readers.items():
            self.sign_in(user)
            is_shown = "Secret plan" in self.client.get(self.url).content.decode()
            assert is_shown == is_reader, user.username

    def test_hidden_emails_vanish(self):
        self.make_email(subject="Gone", hidden_at=minutes_before_noon(0))
        self.assertNotContains(self.client.get(self.url), "Gone")

    def test_other_customers_emails_are_elsewhere(self):
        self.make_email(contacts=[], subject="Elsewhere")
        self.assertNotContains(self.client.get(self.url), "Elsewhere")

    def test_a_conversation_is_one_row_with_its_newest_email(self):
        for minutes, subject in ((30, "Plan"), (20, "Re: Plan"), (10, "Re: Re: Plan")):
            self.make_email(thread_key="t", subject=subject, sent_at=minutes_before_noon(minutes))
        response = self.client.get(self.url)
        (thread,) = response.context["threads"]
        assert thread.newest.email.subject == "Re: Re: Plan"
        assert [e.email.subject for e in thread.earlier] == ["Re: Plan", "Plan"]
        self.assertContains(response, "2 earlier in this conversation")
        self.assertContains(response, "1 conversation")

    def test_the_newest_conversation_comes_first(self):
        self.make_email(thread_key="old", subject="Old", sent_at=minutes_before_noon(30))
        self.make_email(thread_key="new", subject="New", sent_at=minutes_before_noon(20))
        self.make_email(thread_key="old", subject="Revived", sent_at=minutes_before_noon(10))
        threads = self.client.get(self.url).context["threads"]
        assert [t.newest.email.subject for t in threads] == ["Revived", "New"]

    def test_an_email_with_several_contacts_is_listed_once(self):
        self.make_email(contacts=[self.julia, self.kim])
        (thread,) = self.client.get(self.url).context["threads"]
        assert thread.count_earlier == 0

    def test_a_message_that_several_reps_have_is_shown_once_with_their_names(self):
        for user in (self.rep, self.teammate):
            self.make_email(user=user, message_key="same", thread_key="t", subject="Shared")
        self.sign_in(self.manager)
        response = self.client.get(self.url)
        (thread,) = response.context["threads"]
        assert thread.earlier == ()
        assert set(thread.newest.holders) == {self.rep, self.teammate}
        self.assertContains(response, self.rep.display_name)
        self.assertContains(response, self.teammate.display_name)

    def test_a_rep_is_shown_the_own_copy_and_nobody_elses_name(self):
        for user in (self.teammate, self.rep):
            self.make_email(user=user, message_key="same", thread_key="t")
        response = self.client.get(self.url)
        (thread,) = response.context["threads"]
        assert thread.newest.email.user == self.rep
        assert thread.newest.holders == (self.rep,)
        self.assertNotContains(response, self.teammate.email)

    def test_a_manager_who_has_a_copy_opens_the_own_one(self):
        for user in (self.rep, self.manager):
            self.make_email(user=user, message_key="same", thread_key="t")
        self.sign_in(self.manager)
        (thread,) = self.client.get(self.url).context["threads"]
        assert thread.newest.email.user == self.manager

    def test_messages_of_two_reps_with_other_keys_stay_two(self):
        for user, key in ((self.rep, "one"), (self.teammate, "two")):
            self.make_email(user=user, message_key=key, thread_key="t")
        self.sign_in(self.manager)
        (thread,) = self.client.get(self.url).context["threads"]
        assert len(thread.earlier) == 1

    def test_pages_show_every_conversation_once(self):
        for minutes in range(23):
            # Several have the same date, which must not lose or double one at a page's edge.
            self.make_email(sent_at=minutes_before_noon(minutes // 5))
        shown = [
            thread.key
            for page in (1, 2, 3)
            for thread in self.client.get(self.url, {"page": page}).context["threads"]
        ]
        assert len(shown) == 23
        assert len(set(shown)) == 23

    def test_a_page_that_is_not_there_is_the_nearest_one(self):
        self.make_email()
        for page in ("0", "99", "x", "-1"):
            assert len(self.client.get(self.url, {"page": page}).context["threads"]) == 1

    def test_a_long_conversation_is_cut_and_can_be_had_whole(self):
        for minutes in range(THREAD_PREVIEW + 5):
            self.make_email(thread_key="t", sent_at=minutes_before_noon(minutes))
        response = self.client.get(self.url)
        self.assertContains(response, "Show 5 more")
        whole = self.client.get(self.url, {"thread": "t"}, headers=HTMX)
        assert len(whole.context["emails"]) == THREAD_PREVIEW + 5

    def test_a_whole_conversation_follows_the_same_access_rule(self):
        self.make_email(thread_key="t")
        self.sign_in(self.stranger)
        whole = self.client.get(self.url, {"thread": "t"})
        assert whole.context["emails"] == []

    def test_many_recipients_are_folded(self):
        email = self.make_email()
        for number in range(6):
            EmailParticipant.objects.create(
                email=email, role="cc", address=f"cc{number}@client.example"
            )
        response = self.client.get(self.url)
        self.assertContains(response, "and 4 more")

    def test_markup_in_mail_is_text(self):
        self.make_email(subject="<script>alert(1)</script>")
        response = self.client.get(self.url)
        self.assertNotContains(response, "<script>alert")
        self.assertContains(response, "&lt;script&gt;alert")

    def test_an_address_cannot_break_out_of_its_link(self):
        email = self.make_email()
        EmailParticipant.objects.create(email=email, role="cc", address='a?bcc=x&"@b.example')
        self.assertContains(self.client.get(self.url), 'mailto:a%3Fbcc%3Dx%26%22@b.example"')

    def test_an_empty_list_says_what_it_will_show_and_how(self):
        response = self.client.get(self.url)
        self.assertContains(response, "No emails yet")
        self.assertContains(response, "My Contact")
        self.assertContains(response, reverse("accounts:email-integration"))

    def test_the_number_of_queries_is_fixed(self):
        self.make_email()
        few = self.count_queries()
        for minutes in range(30):
            self.make_email(thread_key=f"t{minutes % 7}", contacts=[self.julia, self.kim])
        assert self.count_queries() == few
        assert few <= 9

    def count_queries(self) -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            self.client.get(self.url)
        return len(queries)

    def test_it_rejects_a_post(self):
        assert self.client.post(self.url).status_code == 405

    def test_a_customer_that_is_not_there(self):
        url = reverse("email_sync:customer-emails", args=[999_999])
        assert self.client.get(url).status_code == 404

    def test_anonymous_must_sign_in(self):
        self.assert_anonymous_must_sign_in(self.url)

    def test_it_is_not_kept_in_the_browser(self):
        assert "no-store" in self.client.get(self.url)["Cache-Control"]


class ContactEmailsTests(EmailCastTestCase):
    @property
    def url(self) -> str:
        return reverse("email_sync:contact-emails", args=[self.julia.pk])

    def test_it_lists_this_contacts_emails_only(self):
        EmailFactory(user=self.rep, contacts=[self.julia], subject="Hers")
        EmailFactory(user=self.rep, contacts=[self.kim], subject="Kim's own")
        response = self.client.get(self.url)
        self.assertContains(response, "Hers")
        self.assertNotContains(response, "Kim&#x27;s own")

    def test_who_sees_whose(self):
        EmailFactory(user=self.rep, contacts=[self.julia], subject="Secret plan")
        for user, is_reader in ((self.manager, True), (self.stranger, False)):
            self.sign_in(user)
            is_shown = "Secret plan" in self.client.get(self.url).content.decode()
            assert is_shown == is_reader

    def test_an_empty_list_names_the_contact(self):
        self.assertContains(self.client.get(self.url), "Julia Ruiz")

    def test_it_rejects_a_post(self):
        assert self.client.post(self.url).status_code == 405

    def test_a_contact_that_is_not_there(self):
        url = reverse("email_sync:contact-emails", args=[999_999])
        assert self.client.get(url).status_code == 404


class SectionTests(EmailCastTestCase):
    def is_shown_to(self, user) -> bool:
        return "Email Integration" in [section.title for section in sections_for(user)]

    def test_those_whose_email_sync_is_on_see_it(self):
        assert not self.is_shown_to(self.rep)
        MailboxFactory(user=self.rep)
        assert self.is_shown_to(self.rep)
        Mailbox.objects.update(email_enabled=False)
        assert not self.is_shown_to(self.rep)

    def test_managers_and_admins_see_it_in_any_case(self):
        assert self.is_shown_to(self.manager)
        assert self.is_shown_to(self.admin)

    def test_the_pages_fetch_it(self):
        MailboxFactory(user=self.rep)
        for owner, name in ((self.customer, "customer-emails"), (self.julia, "contact-emails")):
            response = self.client.get(owner.get_absolute_url())
            self.assertContains(response, reverse(f"email_sync:{name}", args=[owner.pk]))
