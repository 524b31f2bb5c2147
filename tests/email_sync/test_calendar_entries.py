"""Conversations on the calendar: one entry each, on the date of the first message."""

from datetime import UTC, datetime, timedelta

from accounts.calendar_entries import Wanted
from email_sync.calendar_entries import conversations
from tests.email_cast import EmailCastTestCase
from tests.email_factories import EmailFactory
from tests.factories import ContactFactory

NOON = datetime(2026, 11, 12, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class ConversationTests(EmailCastTestCase):
    def email(self, subject: str, sent_at: datetime = NOON, **fields):
        values = {"user": self.rep, "contacts": [self.julia], "thread_key": "t"} | fields
        return EmailFactory(subject=subject, sent_at=sent_at, **values)

    def found(self, viewer=None, *, days: int = 30, start: datetime | None = None, **fields):
        start = start or NOON - timedelta(days=5)
        wanted = Wanted(viewer or self.rep, start, start + timedelta(days=days), **fields)
        with self.assertNumQueries(1):
            return conversations(wanted)

    def titles(self, *args, **fields) -> list[str]:
        return [entry.title for entry in self.found(*args, **fields)]

    def test_a_conversation_is_shown_on_the_date_it_began(self):
        self.email("Offer")
        self.email("Re: Offer", NOON + 24 * HOUR)
        self.email("Re: Re: Offer", NOON + 48 * HOUR)
        (entry,) = self.found()
        assert (entry.title, entry.start) == ("Offer", NOON)
        assert entry.customer == "Harbor Foods"
        assert entry.owners == ("Mia Berg",)
        assert not entry.is_editable

    def test_what_began_before_is_not_shown_again(self):
        self.email("Offer", NOON - timedelta(days=9))
        self.email("Re: Offer")
        assert self.titles() == []
        self.email("At the very start", NOON - timedelta(days=5), thread_key="u")
        self.email("At the end", NOON + timedelta(days=25), thread_key="v")
        assert self.titles() == ["At the very start"]

    def test_for_a_customer_it_began_with_the_first_message_of_theirs(self):
        """Others talked first; the customer's contact came in with the second message."""
        other = ContactFactory()
        self.email("Internal question", NOON - timedelta(days=9), contacts=[other])
        self.email("Now with Julia")
        assert self.titles() == []
        assert self.titles(customer=self.customer) == ["Now with Julia"]
        assert self.titles(contact=self.julia) == ["Now with Julia"]
        assert self.titles(contact=self.kim) == []

    def test_what_the_viewer_may_not_read_neither_shows_nor_counts(self):
        self.email("A stranger's beginning", NOON - timedelta(days=9), user=self.stranger)
        self.email("The rep's part")
        self.email("Hidden", thread_key="u", hidden_at=NOON)
        assert self.titles() == ["The rep's part"]
        assert self.titles(self.teammate) == []
        assert self.titles(self.manager) == ["The rep's part"]
        assert self.titles(self.other_manager) == []
        assert self.titles(self.admin) == []

    def test_copies_of_one_message_are_one_entry_with_all_names(self):
        """Two reps have it; one mail server was a minute slower."""
        own = self.email("Offer", message_key="m")
        other = self.email("Offer", NOON + HOUR / 60, message_key="m", user=self.teammate)
        self.email("Re: Offer", NOON + HOUR, user=self.teammate)
        (entry,) = self.found(self.manager)
        assert len(entry.owners) == 2
        assert entry.url in {own.get_absolute_url(), other.get_absolute_url()}
        (mine,) = self.found(self.rep)
        assert mine.url == own.get_absolute_url()
        (theirs,) = self.found(self.manager, owner=self.teammate)
        assert (theirs.url, len(theirs.owners)) == (other.get_absolute_url(), 1)

    def test_copies_on_both_sides_of_midnight_are_shown_once(self):
        self.email("Offer", NOON - HOUR / 60, message_key="m")
        self.email("Offer", NOON + HOUR / 60, message_key="m", user=self.teammate)
        assert self.titles(self.manager, start=NOON) == []
        assert self.titles(self.manager, start=NOON - timedelta(days=30)) == ["Offer"]

    def test_one_query_however_many(self):
        for number in range(50):
            self.email(f"Offer {number}", thread_key=f"t{number}")
        assert len(self.titles()) == 50

    def test_it_stops_at_what_anybody_reads(self):
        for number in range(5):
            self.email(f"Offer {number}", thread_key=f"t{number}")
        assert len(self.titles(most=3)) == 3

    def test_without_a_subject(self):
        self.email("")
        assert self.titles() == ["(no subject)"]
