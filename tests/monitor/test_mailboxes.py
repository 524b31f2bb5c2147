"""The Email Integration Monitor."""

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts import system_settings
from accounts.models import Mailbox, MailboxSync, User
from accounts.rules import State
from accounts.signals import sync_wanted
from accounts.states import APPEARANCES
from monitor.queries import Group, mailbox_rows, today
from tests.accounts.cast import HTMX
from tests.email_cast import EmailCastTestCase
from tests.email_factories import FolderCursorFactory, count
from tests.factories import MailboxFactory, RunningMailboxFactory, UserFactory

LIST = HTMX | {"HX-Target": "mailboxes"}


def running(user, **fields) -> Mailbox:
    """A healthy mailbox that was read a minute ago."""
    now = timezone.now()
    moments = {
        "syncs__last_success_at": now - timedelta(minutes=1),
        "syncs__next_due_at": now + timedelta(minutes=4),
    }
    return RunningMailboxFactory.create(user=user, **moments, **fields)


def change_email_side(mailbox: Any, **fields) -> None:
    MailboxSync.objects.filter(mailbox=mailbox, kind="email").update(**fields)


class MailboxesTests(EmailCastTestCase):
    url = "/integration/mailboxes/"

    def setUp(self) -> None:
        self.sign_in(self.admin)

    def shown(self, **query) -> list[str]:
        page = self.client.get(self.url, query).context["page"]
        return [row.user.username for row in page]

    def test_it_lists_whoever_has_a_sync_switched_on(self):
        running(self.rep)
        MailboxFactory(user=self.teammate, email_enabled=False, calendar_enabled=True)
        MailboxFactory(user=self.stranger, email_enabled=False)
        assert set(self.shown()) == {"mia", "sam"}

    def test_somebody_who_left_is_not_listed(self):
        running(self.rep)
        User.objects.filter(pk=self.rep.pk).update(is_active=False)
        assert self.shown() == []

    def test_a_row_says_all_there_is_to_know(self):
        running(self.rep)
        count(self.rep, "matched", 14, day=today(timezone.now()))
        count(self.rep, "unmatched", 52, day=today(timezone.now()))
        count(self.rep, "matched", 1298, day=today(timezone.now()) - timedelta(days=3))
        response = self.client.get(self.url)
        for words in ("Berg, Mia", self.rep.email, "running", "1 min ago", "in 4 min"):
            self.assertContains(response, words)
        text = self.text_of(response)
        assert "14 / 52" in text
        assert "1,312" in text
        self.assertContains(response, "79 % unmatched today")
        self.assertContains(response, reverse("monitor:history", args=[self.rep.pk]))
        self.assertContains(
            response, reverse("accounts:user-email-integration", args=[self.rep.pk])
        )

    def test_never_connected(self):
        Mailbox.objects.create(user=self.rep, email_enabled=True)
        response = self.client.get(self.url)
        self.assertContains(response, "not connected")
        self.assertContains(response, "Ask Mia to authorise")
        self.assertContains(response, "no address yet")

    def test_a_rejected_grant_names_its_cause_and_who_can_mend_it(self):
        mailbox = running(self.rep)
        Mailbox.objects.filter(pk=mailbox.pk).update(
            rejected_at=timezone.now(), rejection="The password was changed."
        )
        response = self.client.get(self.url, headers=LIST)
        self.assertContains(response, "invalid-credentials")
        self.assertContains(response, "The password was changed.", count=1)
        self.assertContains(response, "Ask Mia to re-authorise")
        self.assertNotContains(response, "Sync now")

    def test_a_missing_folder_is_named(self):
        mailbox = running(self.rep)
        problems = [{"name": "CoolStuff", "cause": "The mailbox has no such folder."}]
        change_email_side(mailbox, problems=problems)
        response = self.client.get(self.url)
        self.assertContains(response, "CoolStuff: The mailbox has no such folder.")

    def test_a_stopped_mailbox_can_be_restarted(self):
        mailbox = running(self.rep)
        change_email_side(mailbox, stopped_at=timezone.now(), failure_text="It did not answer.")
        response = self.client.get(self.url)
        self.assertContains(response, "Restart")
        self.assertContains(response, "It did not answer.")

    def test_held_deletions_are_decided_and_not_restarted(self):
        mailbox = running(self.rep, calendar_enabled=True)
        MailboxSync.objects.update_or_create(
            mailbox=mailbox,
            kind="calendar",
            defaults={
                "stopped_at": timezone.now(),
                "failure": "not-understood",
                "failure_code": "deletion-brake",
                "failure_text": "30 events would be removed.",
            },
        )
        page = self.client.get(self.url)
        self.assertContains(page, "30 events would be removed.")
        self.assertContains(page, f'href="/users/{self.rep.pk}/email-integration/">Decide')
        self.assertNotContains(page, f'id="sync-{self.rep.pk}"')

    def test_a_mailbox_that_no_worker_takes_is_behind(self):
        mailbox = running(self.rep)
        change_email_side(mailbox, next_due_at=timezone.now() - timedelta(hours=1))
        response = self.client.get(self.url)
        self.assertContains(response, "Check that the workers run.")
        assert self.shown(group="behind") == ["mia"]

    def test_a_calendar_has_a_column_of_its_own(self):
        mailbox = running(self.rep, calendar_enabled=True)
        running(self.teammate)
        calendar = MailboxSync.objects.filter(mailbox=mailbox, kind="calendar")
        calendar.update(stopped_at=timezone.now(), failure_text="The calendar did not answer.")
        response = self.client.get(self.url)
        self.assertContains(response, "The calendar did not answer.", count=1)
        self.assertContains(response, "Restart")
        self.assertNotContains(response, "not read yet")
        assert self.shown(state="stopped") == ["mia"]
        assert self.shown(sort="calendar") == ["sam", "mia"]
        assert self.shown(sort="-calendar") == ["mia", "sam"]

    def test_a_calendar_that_no_worker_takes_is_behind_too(self):
        mailbox = running(self.rep, calendar_enabled=True)
        calendar = MailboxSync.objects.filter(mailbox=mailbox, kind="calendar")
        calendar.update(next_due_at=timezone.now() - timedelta(hours=1))
        assert self.shown(group="behind") == ["mia"]
        self.assertContains(self.client.get(self.url), "1 h ago</time> and no worker")

    def test_one_that_is_read_just_now_is_not_behind(self):
        mailbox = running(self.rep)
        change_email_side(
            mailbox, next_due_at=timezone.now() - timedelta(hours=1), lease_holder="host:1:x"
        )
        self.assertContains(self.client.get(self.url), "reading now")
        assert self.shown(group="behind") == []

    def test_a_first_reading_shows_its_progress(self):
        now = timezone.now()
        mailbox = running(self.rep, sync_from=now - timedelta(days=30))
        change_email_side(mailbox, backfilled_at=None)
        FolderCursorFactory(mailbox=mailbox, seen=100, oldest_seen=now - timedelta(days=15))
        self.assertContains(self.client.get(self.url), "100 of about 200 messages, Inbox 50 %")

    def test_processing_switched_off_is_said_loudly(self):
        running(self.rep)
        system_settings.change("processing", "off")
        response = self.client.get(self.url)
        self.assertContains(response, "Processing is switched off")
        self.assertContains(response, "paused")

    def test_every_state_is_explained(self):
        response = self.client.get(self.url)
        for look in APPEARANCES.values():
            self.assertContains(response, look.label)

    def test_nobody_yet(self):
        self.assertContains(self.client.get(self.url), "No mailbox is switched on yet")

    def test_filters_by_name_and_address(self):
        running(self.rep, address="info@northsound.example")
        running(self.teammate)
        assert self.shown(text="mia BERG") == ["mia"]
        assert self.shown(text="info@") == ["mia"]
        assert self.shown(text="nobody") == []
        self.assertContains(self.client.get(self.url, {"text": "nobody"}), "No mailbox matches")

    def test_filters_by_state(self):
        mailbox = running(self.rep)
        running(self.teammate)
        change_email_side(mailbox, stopped_at=timezone.now())
        assert self.shown(state="stopped") == ["mia"]
        assert self.shown(group="needs-attention") == ["mia"]

    def test_nonsense_in_the_address_is_ignored(self):
        running(self.rep)
        query = {"state": "x", "group": "y", "sort": "z", "page": "w"}
        assert self.shown(**query) == ["mia"]

    def test_sorts_both_ways(self):
        for user, number in ((self.rep, 3), (self.teammate, 1), (self.stranger, 2)):
            running(user)
            count(user, "unmatched", number, day=today(timezone.now()))
        assert self.shown(sort="unmatched") == ["sam", "eve", "mia"]
        assert self.shown(sort="-unmatched") == ["mia", "eve", "sam"]

    def test_sorting_copes_with_what_is_not_known(self):
        running(self.rep)
        Mailbox.objects.create(user=self.teammate, email_enabled=True)
        for key in (
            "user",
            "state",
            "calendar",
            "authorised",
            "last",
            "next",
            "matched",
            "unmatched",
        ):
            assert len(self.shown(sort=key)) == 2, key

    def test_pages(self):
        for _ in range(60):
            running(UserFactory())
        first, second = self.shown(), self.shown(page=2)
        assert (len(first), len(second)) == (50, 10)
        assert not set(first) & set(second)

    def test_the_list_alone_is_what_the_page_asks_for_again(self):
        running(self.rep)
        page = self.client.get(self.url, {"sort": "-last"})
        self.assertContains(page, 'hx-get="/integration/mailboxes/?sort=-last"')
        alone = self.client.get(self.url, headers=LIST)
        self.assertNotContains(alone, "<!doctype html>")
        self.assertContains(alone, "Berg, Mia")

    def test_an_unchanged_list_is_the_same_text(self):
        """Else the page would be drawn anew at every look (static/loading.js compares)."""
        running(self.rep)
        first = self.client.get(self.url, headers=LIST).content
        assert self.client.get(self.url, headers=LIST).content == first

    def test_the_number_of_queries_is_fixed(self):
        change_email_side(running(self.rep), backfilled_at=None)
        few = self.count_queries()
        for _ in range(20):
            user = UserFactory()
            change_email_side(running(user), backfilled_at=None)
            count(user, "matched", 1, day=today(timezone.now()))
        assert self.count_queries() == few
        assert few <= 11

    def count_queries(self) -> int:
        with CaptureQueriesContext(connection) as queries:
            self.client.get(self.url)
        return len(queries)

    def test_admins_only(self):
        self.assert_only({"admin"}, self.url)

    def test_it_rejects_a_post(self):
        assert self.client.post(self.url).status_code == 405

    def test_anonymous_must_sign_in(self):
        self.assert_anonymous_must_sign_in(self.url)

    def test_the_grant_is_never_shown(self):
        running(self.rep, grant_id="grant-very-secret")
        self.assertNotContains(self.client.get(self.url), "very-secret")


NOW = datetime(2026, 11, 12, 12, tzinfo=UTC)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("evidence", "state", "group"),
    [
        ({}, State.RUNNING, Group.HEALTHY),
        ({"backfilled_at": None}, State.DOWNLOADING, Group.HEALTHY),
        ({"listed_at": None}, State.INITIALIZING, Group.HEALTHY),
        ({"problems": [{}]}, State.PARTIAL, Group.ATTENTION),
        ({"failure": "not-understood"}, State.EXCEPTION, Group.ATTENTION),
        ({"failure": "bug"}, State.SYNC_ERROR, Group.ATTENTION),
        ({"stopped_at": NOW}, State.STOPPED, Group.ATTENTION),
        ({"failure": "reconnect"}, State.INVALID_CREDENTIALS, Group.REAUTHORISE),
    ],
)
def test_each_state_has_its_group_and_troubled_ones_are_explained(evidence, state, group):
    mailbox: Any = RunningMailboxFactory()
    change_email_side(mailbox, **evidence)
    (row,) = mailbox_rows(now=NOW, interval=5)
    assert (row.main.state, row.group) == (state, group)
    assert bool(row.explanations) == (group != Group.HEALTHY)


@pytest.mark.django_db
def test_the_calendar_has_a_state_of_its_own_and_the_graver_one_counts():
    mailbox: Any = RunningMailboxFactory(calendar_enabled=True)
    calendar = MailboxSync.objects.filter(mailbox=mailbox, kind="calendar")
    problem = {"name": "Clients", "cause": "The mailbox has no calendar named “Clients”."}
    calendar.update(problems=[problem])
    (row,) = mailbox_rows(now=NOW, interval=5)
    assert (row.email.state, row.calendar.state) == (State.RUNNING, State.PARTIAL)
    assert row.states == {State.RUNNING, State.PARTIAL}
    assert row.group == Group.ATTENTION
    assert row.explanations == ["Clients: The mailbox has no calendar named “Clients”."]

    calendar.update(problems=[], next_due_at=NOW - timedelta(days=1))
    (row,) = mailbox_rows(now=NOW, interval=5)
    assert row.group == Group.BEHIND

    calendar.update(next_due_at=NOW)
    Mailbox.objects.update(email_enabled=False)
    (row,) = mailbox_rows(now=NOW, interval=5)
    assert row.main is row.calendar
    assert (row.states, row.group) == ({State.RUNNING}, Group.HEALTHY)
    assert row.main.next_due_at == NOW


@pytest.mark.django_db
def test_a_calendar_that_is_switched_off_has_no_say():
    mailbox: Any = RunningMailboxFactory()
    long_ago = NOW - timedelta(days=1)
    MailboxSync.objects.filter(mailbox=mailbox, kind="calendar").update(
        failure="bug", next_due_at=long_ago
    )
    (row,) = mailbox_rows(now=NOW, interval=5)
    assert (row.states, row.group) == ({State.RUNNING}, Group.HEALTHY)


@pytest.mark.django_db
def test_no_next_sync_is_promised_where_none_will_be():
    mailbox = RunningMailboxFactory(rejected_at=NOW, syncs__next_due_at=NOW)
    (row,) = mailbox_rows(now=NOW, interval=5)
    assert row.main.sync.next_due_at == NOW
    assert row.main.next_due_at is None
    assert mailbox.rejected_at


class SyncNowTests(EmailCastTestCase):
    @property
    def url(self) -> str:
        return reverse("monitor:sync-now", args=[self.rep.pk])

    def setUp(self) -> None:
        self.sign_in(self.admin)
        self.mailbox = running(self.rep)

    def email_side(self) -> MailboxSync:
        return MailboxSync.objects.get(mailbox=self.mailbox, kind="email")

    def test_it_makes_the_mailbox_due_and_wakes_a_worker(self):
        wanted = mock.Mock()
        sync_wanted.connect(wanted)
        self.addCleanup(sync_wanted.disconnect, wanted)
        with self.captureOnCommitCallbacks(execute=True):
            response = self.client.post(self.url, follow=True)
        due = self.email_side().next_due_at
        assert due is not None
        assert due <= timezone.now()
        assert wanted.call_args.kwargs["mailbox"] == self.mailbox
        self.assertContains(response, "as soon as a worker is free")

    def test_it_restarts_a_stopped_mailbox(self):
        change_email_side(self.mailbox, stopped_at=timezone.now(), failure_count=10)
        self.client.post(self.url)
        assert self.email_side().stopped_at is None
        assert self.email_side().failure_count == 0

    def test_with_htmx_the_row_alone_comes_back(self):
        response = self.client.post(self.url, headers=HTMX)
        self.assertContains(response, f'<tbody data-row id="mailbox-{self.rep.pk}">')
        self.assertContains(response, "due now")
        self.assertContains(response, 'hx-swap-oob="true"')
        self.assertNotContains(response, "<!doctype html>")

    def test_a_mailbox_that_nobody_may_read_is_not_promised(self):
        Mailbox.objects.update(rejected_at=timezone.now())
        before = self.email_side().next_due_at
        response = self.client.post(self.url, follow=True)
        self.assertContains(response, "ask Mia Berg to authorise it first")
        assert self.email_side().next_due_at == before

    def test_a_user_without_a_mailbox(self):
        url = reverse("monitor:sync-now", args=[self.teammate.pk])
        assert self.client.post(url).status_code == 404

    def test_a_mailbox_that_was_switched_off_meanwhile(self):
        Mailbox.objects.update(email_enabled=False)
        assert self.client.post(self.url, headers=HTMX).status_code == 200

    def test_admins_only(self):
        before = self.email_side().next_due_at
        for user in (self.rep, self.manager, self.stranger, self.other_manager):
            self.sign_in(user)
            assert self.client.post(self.url).status_code == 404
        assert self.email_side().next_due_at == before

    def test_it_rejects_a_link(self):
        assert self.client.get(self.url).status_code == 405
