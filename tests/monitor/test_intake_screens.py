"""The BCC/FWD configuration, how it goes, and the histories that show BCC and FWD."""

from datetime import timedelta
from unittest import mock

from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import system_settings
from accounts.models import AuditEntry
from email_sync.models import Email, IntakeConnection, IntakeReview
from tests.accounts.cast import HTMX
from tests.email_cast import EmailCastTestCase
from tests.email_factories import EmailFactory, LedgerEntryFactory, count, seen
from tests.email_sync.fake_gmail import CAPTURE
from tests.email_sync.intake_cast import connection as make_connection
from tests.factories import RunningMailboxFactory

PAGE = "/integration/intake/"
STATE = PAGE + "state/"
SYNC = PAGE + "sync/"


class ConfigurationTests(EmailCastTestCase):
    def setUp(self) -> None:
        self.sign_in(self.admin)

    def save(self, connection: IntakeConnection | None = None, **answers: str):
        values = {"bcc": "off", "fwd": "off", "connection": connection.pk if connection else ""}
        return self.client.post(PAGE, values | answers, follow=True)

    def test_who_may_open_and_change_it(self):
        for url in (PAGE, STATE):
            self.assert_only({"admin"}, url)
        self.sign_in(self.manager)
        for url in (PAGE, SYNC):
            assert self.client.post(url, {"bcc": "on", "fwd": "on"}).status_code == 404
        assert not system_settings.current().bcc

    def test_a_get_changes_nothing(self):
        connection = make_connection(is_selected=False)
        self.client.get(PAGE, {"bcc": "on", "fwd": "on", "connection": connection.pk})
        assert self.client.get(SYNC).status_code == 405
        connection.refresh_from_db()
        assert not connection.is_selected
        assert not system_settings.current().bcc

    def test_the_way_to_a_connection_is_shown(self):
        response = self.client.get(PAGE)
        self.assertContains(response, "No connection is selected, so nothing is read.")
        self.assertContains(response, "Connection Setup")

    def test_both_kinds_are_switched_on_and_a_pass_is_wanted(self):
        connection = make_connection(is_selected=False, next_due_at=None)
        with mock.patch("email_sync.connecting_intake.queue_intake") as queue:
            response = self.save(connection, bcc="on", fwd="on")
        self.assertContains(response, "The configuration is saved.")
        current = system_settings.current()
        assert (current.bcc, current.fwd, current.automatic_forwarding) == (True, True, False)
        connection.refresh_from_db()
        assert connection.is_selected
        assert connection.next_due_at is not None
        assert connection.next_due_at <= timezone.now()
        queue.assert_called_with([connection.pk])
        about = list(AuditEntry.objects.order_by("pk").values_list("about", flat=True))
        assert [line.partition(" (")[0] for line in about] == [
            "bcc: on",
            "fwd: on",
            "Connection in use: Intake",
        ]

    def test_one_kind_alone(self):
        self.save(make_connection(), fwd="on")
        assert (system_settings.current().bcc, system_settings.current().fwd) == (False, True)

    def test_another_connection_takes_over(self):
        first, second = make_connection(), make_connection(name="b", address="b@g.example",
                                                           is_selected=False)  # fmt: skip
        self.save(second, bcc="on")
        first.refresh_from_db()
        second.refresh_from_db()
        assert (first.is_selected, second.is_selected) == (False, True)

    def test_none_is_read_any_more(self):
        connection = make_connection()
        self.save(None)
        connection.refresh_from_db()
        assert not connection.is_selected
        assert connection.is_authorised

    def test_switched_on_it_needs_a_connection(self):
        self.assertContains(self.save(bcc="on"), "Choose the connection that is to be read.")
        assert not system_settings.current().bcc

    def test_one_that_is_not_authorised_yet_may_be_chosen_and_that_is_said(self):
        connection = IntakeConnection.objects.create(name="new")
        response = self.save(connection, bcc="on")
        self.assertContains(response, "Nothing is read until “new” is authorised")
        self.assertContains(response, "and reading begins")

    def test_a_strange_answer_is_refused(self):
        make_connection()
        response = self.client.post(PAGE, {"bcc": "perhaps", "fwd": "off", "connection": "99"})
        self.assertContains(response, "Select a valid choice", count=2)
        assert not AuditEntry.objects.exists()

    def test_nothing_changed(self):
        connection = make_connection(next_due_at=None)
        self.assertContains(self.save(connection), "Nothing was changed.")
        connection.refresh_from_db()
        assert connection.next_due_at is None
        assert not AuditEntry.objects.exists()

    def test_automatic_forwarding_has_its_warning(self):
        self.assertContains(self.client.get(PAGE), "leave it off where in doubt")
        self.save(make_connection(), fwd="on", automatic_forwarding="on")
        assert system_settings.current().automatic_forwarding

    def test_sync_now_makes_the_selected_one_due_even_after_a_stop(self):
        connection = make_connection(next_due_at=None, stopped_at=timezone.now())
        response = self.client.post(SYNC, follow=True)
        self.assertContains(response, f"{CAPTURE} is read as soon as a worker is free.")
        connection.refresh_from_db()
        assert connection.stopped_at is None
        assert connection.next_due_at is not None

    def test_sync_now_without_a_connection_says_so(self):
        response = self.client.post(SYNC, follow=True)
        self.assertContains(response, "nothing to read")


class StateTests(EmailCastTestCase):
    def setUp(self) -> None:
        self.sign_in(self.admin)
        system_settings.change("bcc", "on")

    def words(self) -> str:
        return self.text_of(self.client.get(STATE, headers=HTMX))

    def make_entry(self, connection: IntakeConnection, **fields):
        fields = {"user": self.rep, "source": "bcc", "intake": connection} | fields
        return LedgerEntryFactory(**fields)

    def test_it_is_a_piece_of_its_own(self):
        make_connection()
        assert "<!doctype" not in self.words()

    def test_a_first_reading_asks_again_soon(self):
        make_connection(next_due_at=timezone.now())
        words = self.words()
        assert "Queued" in words
        assert "every 2s" in words

    def test_at_rest_it_asks_seldom(self):
        now = timezone.now()
        make_connection(listed_at=now, backfilled_at=now, next_due_at=now + timedelta(minutes=5))
        words = self.words()
        assert "running" in words
        assert "every 20s" in words

    def test_what_went_wrong_and_what_to_do(self):
        connection = make_connection(rejected_at=timezone.now(), rejection="Access was taken back.")
        words = self.words()
        assert "Access was taken back." in words
        assert "re-authorise it" in words
        assert "Sync now" not in words
        IntakeConnection.objects.filter(pk=connection.pk).update(
            rejected_at=None, failure="transient", failure_text="Google is away."
        )
        assert "Google is away." in self.words()

    def test_a_pause_is_named(self):
        make_connection()
        system_settings.change("bcc", "off")
        assert "BCC and forwarding are both off" in self.words()
        system_settings.change("bcc", "on")
        system_settings.change("processing", "off")
        assert "All processing is switched off" in self.words()

    def test_the_numbers_count_what_they_link_to(self):
        connection, now = make_connection(), timezone.now()
        for days, outcome in ((0, "matched"), (3, "matched"), (29, "unmatched"), (31, "unmatched")):
            self.make_entry(connection, outcome=outcome, sent_at=now - timedelta(days=days))
        other = make_connection(name="other", address="o@g.example", is_selected=False)
        self.make_entry(other, sent_at=now)
        context = self.client.get(STATE, headers=HTMX).context
        counted = [
            [(str(outcome), number) for outcome, number in period.counts]
            for period in context["periods"]
        ]
        assert counted == [[("matched", 1)], [("matched", 2), ("unmatched", 1)]]
        for period in context["periods"]:
            for outcome, number in period.counts:
                query = {"tab": outcome, "since": period.since.isoformat()}
                shown = self.client.get(f"{PAGE}{connection.pk}/history/", query)
                assert len(shown.context["rows"]) == number

    def test_the_number_of_queries_is_fixed(self):
        connection = make_connection()
        self.make_entry(connection)
        with CaptureQueriesContext(database) as few:
            self.words()
        for _ in range(20):
            self.make_entry(connection)
        with self.assertNumQueries(len(few)):
            self.words()


class HistoryTests(EmailCastTestCase):
    def setUp(self) -> None:
        self.sign_in(self.admin)
        self.connection = make_connection()
        self.url = f"{PAGE}{self.connection.pk}/history/"

    def make_entry(self, **fields):
        return LedgerEntryFactory(**({"user": self.rep, "source": "bcc",
                                      "intake": self.connection} | fields))  # fmt: skip

    def of_nobody(self, **fields):
        return self.make_entry(user=None, to=[CAPTURE], trace={}, **fields)

    def test_who_may_open_it(self):
        self.assert_only({"admin"}, self.url)
        assert self.client.post(self.url).status_code == 405

    def test_it_has_those_of_senders_who_are_nobody_here(self):
        steps = [{"rule": "sender", "words": "x@spoof.example is not a user's address."}]
        self.make_entry(subject="Mia's", outcome="matched", reason="matched")
        stranger = self.make_entry(
            user=None, to=[CAPTURE], subject="A stranger's", reason="sender-not-registered",
            trace={"intake": {"steps": steps}},
        )  # fmt: skip
        response = self.client.get(self.url, {"tab": "unmatched"})
        assert [row.entry for row in response.context["rows"]] == [stranger]
        assert "x@spoof.example is not a user&#x27;s address." in self.text_of(response)
        assert [(tab.label, tab.count) for tab in response.context["tabs"]] == [
            ("Matched", 1), ("Unmatched", 1),
        ]  # fmt: skip

    def test_nobodys_mail_is_in_no_reps_history(self):
        self.of_nobody(subject="A stranger's")
        response = self.client.get(f"/integration/mailboxes/{self.rep.pk}/history/?tab=unmatched")
        assert not response.context["rows"]

    def test_the_reasons_of_the_intake_can_be_chosen(self):
        unsure = self.make_entry(reason="forward-unsure", source="fwd")
        self.make_entry(reason="calendar-invite")
        response = self.client.get(self.url, {"tab": "unmatched", "reason": "forward-unsure"})
        assert [row.entry for row in response.context["rows"]] == [unsure]

    def test_bcc_and_fwd_stand_in_the_reps_own_history(self):
        RunningMailboxFactory(user=self.rep)
        for source in ("nylas", "bcc", "fwd"):
            self.make_entry(source=source, subject=f"by {source}")
        url = f"/integration/mailboxes/{self.rep.pk}/history/"
        page = self.text_of(self.client.get(url, {"tab": "unmatched"}))
        for word in ("Nylas", "BCC", "FWD"):
            assert f"{word}</div>" in page
        rows = self.client.get(url, {"tab": "unmatched", "source": "fwd"}).context["rows"]
        assert [row.entry.subject for row in rows] == ["by fwd"]

    def test_an_email_with_two_sources_says_so_on_both_lines_and_counts_once(self):
        email = EmailFactory(user=self.rep)
        fields = {"email": email, "outcome": "matched", "reason": "matched"}
        self.make_entry(source="bcc", message_key="k", **fields)
        self.make_entry(source="nylas", message_key="k", intake=None, **fields)
        count(self.rep, "matched", 1, day=timezone.now().date())
        response = self.client.get(f"/integration/mailboxes/{self.rep.pk}/history/")
        page = self.text_of(response)
        assert "BCC, also Nylas" in page
        assert "Nylas, also BCC" in page
        assert "“Matched” counts emails, each once." in page
        assert response.context["tabs"][0].count == 1

    def test_one_source_needs_no_such_words(self):
        self.make_entry(email=EmailFactory(user=self.rep), outcome="matched", reason="matched")
        page = self.text_of(self.client.get(f"/integration/mailboxes/{self.rep.pk}/history/"))
        assert "also" not in page.partition("<main")[2]
        assert "counts emails" not in page

    def test_a_forward_of_several_says_how_many(self):
        first, second = EmailFactory(user=self.rep), EmailFactory(user=self.rep)
        entry = self.make_entry(source="fwd", email=first, outcome="matched", reason="matched")
        entry.further_emails.add(second)
        assert "FWD, 2 emails" in self.text_of(self.client.get(self.url))

    def test_the_email_names_all_its_sources(self):
        email = EmailFactory(user=self.rep)
        for source in ("bcc", "nylas"):
            self.make_entry(source=source, email=email, outcome="matched", reason="matched")
        self.assertContains(self.client.get(email.get_absolute_url()), "Nylas, BCC")

    def test_the_text_of_what_did_not_match_is_nowhere(self):
        self.of_nobody(reason="sender-not-authenticated")
        assert not Email.objects.exists()
        self.assertNotContains(self.client.get(self.url, {"tab": "unmatched"}), "/emails/1/")

    def test_the_number_of_queries_is_fixed(self):
        trace = {"addresses": [seen("j.ruiz@harbor.example", self.julia, is_mine=True)]}
        fields = {"outcome": "matched", "reason": "matched", "trace": trace, "source": "fwd"}
        self.make_entry(email=EmailFactory(user=self.rep), **fields)
        with CaptureQueriesContext(database) as few:
            self.client.get(self.url)
        for _ in range(20):
            entry = self.make_entry(email=EmailFactory(user=self.rep), **fields)
            entry.further_emails.add(EmailFactory(user=self.rep))
        with self.assertNumQueries(len(few)):
            self.client.get(self.url)


class NavigationTests(EmailCastTestCase):
    def test_an_admin_sees_how_many_questions_are_open(self):
        entry = LedgerEntryFactory(user=self.rep, source="fwd")
        IntakeReview.objects.create(entry=entry, kind="forward")
        self.sign_in(self.admin)
        page = self.text_of(self.client.get("/customers/"))
        assert 'Intake review <span class="badge ms-1">1</span>' in page

    def test_nobody_else_is_offered_the_intake(self):
        for user in (self.rep, self.manager):
            self.sign_in(user)
            self.assertNotContains(self.client.get("/customers/"), "/integration/")
