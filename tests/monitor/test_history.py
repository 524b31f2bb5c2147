"""The sync history of one user."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from email_sync.models import Email, LedgerEntry
from monitor.queries import HISTORY_PAGE, Narrowing, filtered, history_page
from tests.accounts.cast import HTMX
from tests.email_cast import EmailCastTestCase
from tests.email_factories import NOON, LedgerEntryFactory, count, minutes_before_noon, seen
from tests.factories import RunningMailboxFactory

MORE = HTMX | {"HX-Target": "history-more"}


class HistoryTests(EmailCastTestCase):
    @property
    def url(self) -> str:
        return reverse("monitor:history", args=[self.rep.pk])

    def setUp(self) -> None:
        self.sign_in(self.admin)

    def make_entry(self, **fields):
        return LedgerEntryFactory(user=self.rep, **fields)

    def subjects(self, **query) -> list[str]:
        rows = self.client.get(self.url, query).context["rows"]
        return [row.entry.subject for row in rows]

    # --- who ------------------------------------------------------------------------------------
    def test_who_may_open_it(self):
        self.assert_only({"rep", "manager", "admin"}, self.url)

    def test_it_shows_the_entries_of_this_user_only(self):
        self.make_entry(subject="Mia's")
        LedgerEntryFactory(user=self.teammate, subject="Sam's")
        assert self.subjects(tab="unmatched") == ["Mia's"]

    def test_it_rejects_a_post(self):
        assert self.client.post(self.url).status_code == 405

    def test_anonymous_must_sign_in(self):
        self.assert_anonymous_must_sign_in(self.url)

    # --- what -----------------------------------------------------------------------------------
    def test_it_opens_in_a_dialog_and_as_a_page(self):
        self.assertContains(self.client.get(self.url), "<!doctype html>")
        dialog = self.client.get(self.url, headers=HTMX)
        self.assertNotContains(dialog, "<!doctype html>")
        self.assertContains(dialog, "Sync history of Mia Berg")

    def test_an_unmatched_row_is_plain_words_without_a_link(self):
        entry = self.make_entry(
            subject="Logo files",
            reason="not-my-contact",
            from_address="k.lee@harbor.example",
            trace={"addresses": [seen("k.lee@harbor.example", self.kim)]},
        )
        response = self.client.get(self.url, {"tab": "unmatched"}, headers=HTMX)
        for words in ("Logo files", "k.lee@harbor.example", "received", "Nylas", "12 Nov 2026"):
            self.assertContains(response, words)
        assert (
            "Kim Lee is a contact of Harbor Foods, but not one of Mia&#x27;s contacts."
            in self.text_of(response)
        )
        self.assertNotContains(response, "/emails/")
        assert entry.email is None

    def test_a_matched_subject_opens_the_text(self):
        entry = self.make_entry(
            matched=True,
            trace={"addresses": [seen("j.ruiz@harbor.example", self.julia, is_mine=True)]},
        )
        response = self.client.get(self.url)
        self.assertContains(response, f'href="{entry.email.get_absolute_url()}" data-dialog')
        self.assertContains(response, f'<a href="{self.customer.get_absolute_url()}">Harbor Foods')
        self.assertContains(response, "Julia Ruiz of Harbor Foods is one of Mia")

    def test_a_deleted_email_has_no_link_and_says_so(self):
        entry = self.make_entry(matched=True)
        Email.objects.update(hidden_at=NOON)
        response = self.client.get(self.url)
        self.assertContains(response, entry.subject)
        self.assertNotContains(response, entry.email.get_absolute_url())
        self.assertContains(response, "It was deleted in the CRM.")

    def test_nobody_reaches_a_text_through_somebody_elses_email(self):
        """Should an entry ever point to another user's email, the rule of emails still holds."""
        foreign = LedgerEntryFactory(user=self.stranger, matched=True).email
        self.make_entry(email=foreign, outcome="matched", reason="matched")
        self.sign_in(self.manager)
        self.assertNotContains(self.client.get(self.url), foreign.get_absolute_url())

    def test_a_customer_that_is_gone_is_named_without_a_link(self):
        trace = {"addresses": [seen("j.ruiz@harbor.example", self.julia)]}
        self.make_entry(reason="not-my-contact", trace=trace)
        url = self.customer.get_absolute_url()
        self.customer.delete()
        response = self.client.get(self.url, {"tab": "unmatched"})
        self.assertContains(response, "Harbor Foods")
        self.assertNotContains(response, f'href="{url}"')

    def test_why_unfolds_how_it_was_decided(self):
        self.make_entry(folder="CoolStuff", message_id="<a1@client.example>")
        response = self.client.get(self.url, {"tab": "unmatched"})
        text = self.text_of(response)
        for words in (
            "Why?",
            "news@elsewhere.example",
            "no contact in the CRM",
            "Mia&#x27;s own address, which never matches",
            "Rule: No contact in the CRM has any of the addresses.",
            "folder CoolStuff",
            "&lt;a1@client.example&gt;",
        ):
            assert words in text

    def test_the_owner_is_addressed(self):
        self.make_entry()
        self.sign_in(self.rep)
        response = self.client.get(self.url, {"tab": "unmatched"})
        self.assertContains(response, "your own address, which never matches")

    def test_of_what_is_never_logged_the_subject_is_not_kept(self):
        self.make_entry(outcome="excluded", reason="excluded-domain", subject="")
        response = self.client.get(self.url, {"tab": "excluded"})
        self.assertContains(response, "(not kept)")
        self.assertContains(response, "A domain on it is never logged")

    def test_each_tab_offers_its_own_reasons(self):
        for tab, reason in (("unmatched", "not-my-contact"), ("excluded", "internal-only")):
            response = self.client.get(self.url, {"tab": tab})
            self.assertContains(response, f'<option value="{reason}"')
        self.assertNotContains(response, '<option value="not-my-contact"')
        self.assertNotContains(self.client.get(self.url), 'name="reason"')

    def test_a_failure_gives_its_cause(self):
        trace = {"cause": "It is no longer in the mailbox."}
        self.make_entry(outcome="failed", reason="processing-error", trace=trace, sent_at=None)
        response = self.client.get(self.url, {"tab": "failed"})
        self.assertContains(response, "It is no longer in the mailbox.")
        self.assertContains(response, "no date")

    def test_an_expired_entry_says_what_became_of_it(self):
        self.make_entry(subject="", from_address="", to=[], trace={}, expired_at=NOON)
        response = self.client.get(self.url, {"tab": "unmatched"})
        self.assertContains(response, "(removed)")

    def test_an_entry_with_a_malformed_trace_is_shown(self):
        self.make_entry(trace={"addresses": "?"}, subject="Odd")
        assert self.subjects(tab="unmatched") == ["Odd"]

    def test_markup_in_mail_is_text(self):
        self.make_entry(subject="<script>alert(1)</script>", from_address="<b>@x.example")
        response = self.client.get(self.url, {"tab": "unmatched"})
        self.assertNotContains(response, "<script>alert")
        self.assertNotContains(response, "<b>@x")

    # --- tabs -----------------------------------------------------------------------------------
    def test_tabs_count_from_the_daily_counts(self):
        count(self.rep, "matched", 300, day=NOON.date())
        count(self.rep, "matched", 12, day=NOON.date(), source="bcc")
        count(self.rep, "unmatched", 1044, day=NOON.date())
        tabs = self.client.get(self.url).context["tabs"]
        assert [(tab.label, tab.count) for tab in tabs] == [("Matched", 312), ("Unmatched", 1044)]

    def test_excluded_and_failed_appear_when_there_are_any(self):
        count(self.rep, "excluded", 61, day=NOON.date())
        count(self.rep, "failed", 2, day=NOON.date())
        tabs = self.client.get(self.url).context["tabs"]
        assert [tab.outcome for tab in tabs][2:] == ["excluded", "failed"]

    def test_each_tab_shows_its_own(self):
        for outcome in ("unmatched", "excluded", "failed"):
            self.make_entry(outcome=outcome, subject=outcome)
        self.make_entry(matched=True)
        for outcome in ("unmatched", "excluded", "failed"):
            assert self.subjects(tab=outcome) == [outcome]
        assert len(self.subjects()) == 1

    def test_a_tab_that_is_not_there_is_the_first(self):
        response = self.client.get(self.url, {"tab": "x"})
        assert response.context["outcome"] == "matched"

    def test_empty_tabs_say_what_they_will_show(self):
        self.assertContains(self.client.get(self.url), "Nothing has matched yet")
        unmatched = self.client.get(self.url, {"tab": "unmatched"})
        self.assertContains(unmatched, "Nothing was left unmatched")

    # --- filters --------------------------------------------------------------------------------
    def test_text_is_looked_for_in_subject_and_addresses(self):
        self.make_entry(subject="Logo files", from_address="k.lee@harbor.example")
        self.make_entry(subject="Lunch", to=["ana@lumen.example"])
        self.make_entry(subject="Offer", cc=["bob@quist.example"])
        for text, found in (
            ("LOGO", ["Logo files"]),
            ("k.lee", ["Logo files"]),
            ("lumen", ["Lunch"]),
            ("quist", ["Offer"]),
            ("logo harbor", ["Logo files"]),
            ("logo lumen", []),
            ("100%", []),
        ):
            assert self.subjects(tab="unmatched", text=text) == found, text

    def test_source_and_reason(self):
        self.make_entry(subject="A", source="bcc")
        self.make_entry(subject="B", reason="not-my-contact")
        assert self.subjects(tab="unmatched", source="bcc") == ["A"]
        assert self.subjects(tab="unmatched", reason="not-my-contact") == ["B"]

    def test_dates_are_whole_days_in_the_viewers_zone(self):
        self.admin.time_zone = "Pacific/Auckland"
        self.admin.save()
        zone = ZoneInfo("Pacific/Auckland")
        self.make_entry(subject="Eve", sent_at=datetime(2026, 11, 11, 23, 59, tzinfo=zone))
        self.make_entry(subject="First", sent_at=datetime(2026, 11, 12, 0, 0, tzinfo=zone))
        self.make_entry(subject="Last", sent_at=datetime(2026, 11, 12, 23, 59, tzinfo=zone))
        self.make_entry(subject="Next", sent_at=datetime(2026, 11, 13, 0, 0, tzinfo=zone))
        day = {"since": "2026-11-12", "until": "2026-11-12"}
        assert self.subjects(tab="unmatched", **day) == ["Last", "First"]

    def test_a_bad_date_is_named_and_ignored(self):
        self.make_entry(subject="A")
        query = {"tab": "unmatched", "since": "yesterday", "until": "2026-99-01"}
        response = self.client.get(self.url, query)
        self.assertContains(response, "This is not a date.")
        assert self.subjects(**query) == ["A"]

    def test_an_impossible_last_day_is_no_error(self):
        self.make_entry(subject="A")
        assert self.subjects(tab="unmatched", until="9999-12-31") == ["A"]
        assert self.subjects(tab="unmatched", since="0001-01-01") == ["A"]

    def test_nothing_found_is_not_an_empty_history(self):
        response = self.client.get(self.url, {"text": "nothing like it"})
        self.assertContains(response, "Nothing matches these filters")

    def test_links_keep_the_filters(self):
        for _ in range(HISTORY_PAGE + 1):
            self.make_entry(subject="Logo")
        response = self.client.get(self.url, {"tab": "unmatched", "text": "logo"})
        self.assertContains(response, "?tab=matched&amp;text=logo")
        self.assertContains(response, "?tab=unmatched&amp;text=logo&amp;after=")

    # --- paging ---------------------------------------------------------------------------------
    def test_older_rows_are_appended(self):
        for minutes in range(HISTORY_PAGE + 3):
            self.make_entry(sent_at=minutes_before_noon(minutes))
        first = self.client.get(self.url, {"tab": "unmatched"})
        older = first.context["older"]
        self.assertContains(first, "Show older")
        query = {"tab": "unmatched", "after": older}
        second = self.client.get(self.url, query, headers=MORE)
        assert len(second.context["rows"]) == 3
        self.assertNotContains(second, "Sync history of")
        self.assertContains(second, "This is the oldest")

    def test_the_number_of_queries_is_fixed(self):
        RunningMailboxFactory(user=self.rep)
        self.make_entry(matched=True)
        few = self.count_queries()
        for _ in range(HISTORY_PAGE - 2):
            trace = {"addresses": [seen("j.ruiz@harbor.example", self.julia, is_mine=True)]}
            self.make_entry(matched=True, trace=trace)
        assert self.count_queries() <= few + 1
        assert few <= 15

    def count_queries(self) -> int:
        with CaptureQueriesContext(connection) as queries:
            self.client.get(self.url)
        return len(queries)


class KeysetPagingTests(EmailCastTestCase):
    def walk(self, size: int) -> list[int]:
        entries = LedgerEntry.objects.for_user(self.rep)
        found: list[int] = []
        after = ""
        while True:
            page = history_page(entries, after=after, size=size)
            found += [entry.pk for entry in page.entries]
            if not page.older:
                return found
            after = page.older

    def test_every_row_comes_once_even_with_equal_dates(self):
        for number in range(23):
            LedgerEntryFactory(user=self.rep, sent_at=minutes_before_noon(number // 7))
        newest_first = list(
            LedgerEntry.objects.order_by("-sent_at", "-pk").values_list("pk", flat=True)
        )
        for size in (1, 2, 5, 7, 22, 23, 24):
            assert self.walk(size) == newest_first, size

    def test_rows_without_a_date_come_last_and_once(self):
        dated = [LedgerEntryFactory(user=self.rep).pk for _ in range(5)]
        undated = [LedgerEntryFactory(user=self.rep, sent_at=None).pk for _ in range(5)]
        for size in range(1, 12):
            assert self.walk(size) == dated + undated[::-1], size

    def test_only_undated_rows(self):
        undated = [LedgerEntryFactory(user=self.rep, sent_at=None).pk for _ in range(4)]
        assert self.walk(2) == undated[::-1]

    def test_what_arrives_meanwhile_moves_nothing(self):
        for number in range(4):
            LedgerEntryFactory(user=self.rep, sent_at=minutes_before_noon(number))
        entries = LedgerEntry.objects.for_user(self.rep)
        first = history_page(entries, after="", size=2)
        LedgerEntryFactory(user=self.rep, sent_at=NOON + timedelta(hours=1))
        second = history_page(entries, after=first.older, size=2)
        shown = [entry.pk for entry in (*first.entries, *second.entries)]
        assert len(set(shown)) == 4

    def test_microseconds_are_kept(self):
        for microseconds in (1, 2, 3):
            at = NOON.replace(microsecond=microseconds)
            LedgerEntryFactory(user=self.rep, sent_at=at)
        assert len(set(self.walk(1))) == 3

    def test_a_cursor_that_was_tampered_with_is_the_beginning(self):
        LedgerEntryFactory(user=self.rep)
        entries = LedgerEntry.objects.for_user(self.rep)
        for after in ("x", "_", "_x", "2026-11-12_1", "2026-11-12T00:00_1", "99_9", "_" + "9" * 40):
            assert len(history_page(entries, after=after).entries) == 1, after

    def test_no_filter_filters_nothing(self):
        LedgerEntryFactory(user=self.rep)
        entries = filtered(LedgerEntry.objects.all(), Narrowing(), zone=UTC)
        assert entries.count() == 1
