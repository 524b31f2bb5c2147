"""How far the first reading of a mailbox has come."""

from datetime import timedelta

from django.utils import timezone

from accounts.models import Mailbox, MailboxSync
from tests.email_cast import EmailCastTestCase
from tests.email_factories import FolderCursorFactory
from tests.factories import MailboxFactory


class ProgressTests(EmailCastTestCase):
    url = "/emails/progress/"

    def setUp(self) -> None:
        super().setUp()
        now = timezone.now()
        self.mailbox = MailboxFactory(user=self.rep, sync_from=now - timedelta(days=30))
        FolderCursorFactory(mailbox=self.mailbox, name="Inbox", seen=1000, backfilled_at=now)
        FolderCursorFactory(
            mailbox=self.mailbox, name="Sent", seen=240, oldest_seen=now - timedelta(days=15)
        )

    def test_it_says_how_far_it_is(self):
        response = self.client.get(self.url)
        self.assertContains(response, "1,240 of about 1,500 messages, Inbox done, Sent 50 %")
        self.assertContains(response, '<progress class="progress progress-sm mt-1" value="83"')

    def test_it_asks_again_by_itself(self):
        self.assertContains(self.client.get(self.url), "every 1s")

    def test_it_is_empty_when_all_was_read(self):
        MailboxSync.objects.update(backfilled_at=timezone.now())
        assert self.client.get(self.url).content.strip() == b""

    def test_it_is_empty_while_email_is_off_or_not_connected(self):
        for fields in ({"email_enabled": False}, {"email_enabled": True, "grant_digest": ""}):
            Mailbox.objects.update(**fields)
            assert self.client.get(self.url).content.strip() == b"", fields

    def test_it_is_empty_for_somebody_without_a_mailbox(self):
        self.sign_in(self.teammate)
        assert self.client.get(self.url).content.strip() == b""

    def test_whose_progress_one_may_see(self):
        self.assert_only({"rep", "manager", "admin"}, f"{self.url}?user={self.rep.pk}")

    def test_nonsense_for_a_user_is_oneself(self):
        for text in ("x", "", "-1"):
            self.assertContains(self.client.get(f"{self.url}?user={text}"), "1,240")

    def test_it_rejects_a_post(self):
        assert self.client.post(self.url).status_code == 405

    def test_anonymous_must_sign_in(self):
        self.assert_anonymous_must_sign_in(self.url)

    def test_the_number_of_queries_is_fixed(self):
        for number in range(10):
            FolderCursorFactory(mailbox=self.mailbox, name=f"Folder {number}")
        with self.assertNumQueries(5):
            self.client.get(self.url)
