"""Action items on the calendar, and the one request that fills it."""

from datetime import UTC, datetime, timedelta

from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.calendar_entries import Kind, Wanted
from calendar_sync.entries import action_items
from calendar_sync.models import ActionItem
from tests.calendar_sync.cast import NINE, CalendarCastTestCase, days
from tests.email_factories import EmailFactory
from tests.factories import ContactFactory, CustomerFactory

URL = "/calendar/entries/"
START, END = datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 30, tzinfo=UTC)


class ActionItemTests(CalendarCastTestCase):
    def found(self, viewer=None, **fields):
        with self.assertNumQueries(1):
            return action_items(Wanted(viewer or self.rep, START, END, **fields))

    def titles(self, *args, **fields) -> set[str]:
        return {entry.title for entry in self.found(*args, **fields)}

    def test_a_to_do(self):
        item = self.a_to_do(completed_at=NINE)
        (entry,) = self.found()
        assert (entry.kind, entry.title, entry.type) == (Kind.TO_DO, "Q3 media plan", "Call")
        assert (entry.start, entry.end) == (item.starts_at, item.ends_at)
        assert (entry.customer, entry.owners) == ("Harbor Foods", ("Mia Berg",))
        assert entry.is_editable
        assert entry.is_done
        assert entry.url == item.get_absolute_url()

    def test_an_appointment_cannot_be_moved_and_names_its_contacts_customer(self):
        self.an_appointment(cancelled_at=NINE)
        (entry,) = self.found()
        assert (entry.kind, entry.type, entry.customer) == (
            Kind.APPOINTMENT,
            "Imported",
            "Harbor Foods",
        )
        assert not entry.is_editable
        assert entry.is_cancelled

    def test_a_private_one_is_a_time_and_nothing_else(self):
        self.an_appointment(title="Therapy", is_private=True)
        assert self.titles() == {"Private appointment"}

    def test_what_touches_the_span(self):
        self.a_to_do(title="over midnight", starts_at=START - timedelta(minutes=15))
        self.a_to_do(title="too early", starts_at=START - timedelta(hours=1))
        self.a_to_do(title="too late", starts_at=END)
        self.a_to_do(title="a week", **days(START - timedelta(days=4), START + timedelta(days=3)))
        self.a_to_do(title="deleted", deleted_at=NINE)
        assert self.titles() == {"over midnight", "a week"}

    def test_by_customer_contact_owner_and_kind(self):
        other = ContactFactory(customer=CustomerFactory(name="Lumen"))
        self.a_to_do(title="Harbor")
        self.a_to_do(title="Harbor, Julia", contact=self.julia)
        self.a_to_do(title="Lumen", customer=other.customer)
        self.an_appointment(title="With both", contacts=[self.julia, other])
        self.a_to_do(title="Sam's", owner=self.teammate)
        harbor = {"Harbor", "Harbor, Julia", "With both"}
        assert self.titles(customer=self.customer) == harbor
        assert self.titles(customer=other.customer) == {"Lumen", "With both"}
        assert self.titles(contact=self.julia) == {"Harbor, Julia", "With both"}
        assert self.titles(kinds=frozenset({Kind.APPOINTMENT})) == {"With both"}
        assert self.titles(kinds=frozenset({Kind.TO_DO, Kind.EMAIL})) == {
            "Harbor",
            "Harbor, Julia",
            "Lumen",
        }
        assert self.titles(self.manager, owner=self.teammate) == {"Sam's"}

    def test_whose_items_a_viewer_sees(self):
        self.a_to_do(title="Mia's")
        self.a_to_do(title="Sam's", owner=self.teammate)
        self.a_to_do(title="Eve's", owner=self.stranger)
        assert self.titles() == {"Mia's"}
        assert self.titles(self.manager) == {"Mia's", "Sam's"}
        assert self.titles(self.other_manager) == set()
        assert self.titles(self.admin) == {"Mia's", "Sam's", "Eve's"}
        assert self.titles(owner=self.teammate) == set()

    def test_one_appointment_of_two_reps_is_shown_once_with_both_names(self):
        own = self.an_appointment(ical_uid="uid-1")
        self.an_appointment(ical_uid="uid-1", owner=self.teammate)
        self.an_appointment(ical_uid="uid-1", starts_at=NINE + timedelta(days=1),
                            ends_at=NINE + timedelta(days=1, hours=1))  # fmt: skip
        self.an_appointment(ical_uid="uid-2", owner=self.teammate, title="Another")
        found = self.found(self.manager, customer=self.customer)
        assert len(found) == 3
        (shared,) = (entry for entry in found if len(entry.owners) == 2)
        assert shared.start == NINE
        assert set(shared.owners) == {"Mia Berg", self.teammate.display_name}
        (mine,) = (entry for entry in self.found() if entry.start == NINE)
        assert (mine.owners, mine.url) == (("Mia Berg",), own.get_absolute_url())

    def test_without_an_identity_nothing_is_merged(self):
        self.an_appointment()
        self.an_appointment(owner=self.teammate)
        assert len(self.found(self.manager)) == 2

    def test_it_stops_at_what_anybody_reads(self):
        for number in range(5):
            self.a_to_do(title=str(number))
        assert len(self.found(most=3)) == 3


class RequestTests(CalendarCastTestCase):
    def get(self, **query):
        return self.client.get(URL, {"start": "2026-11-23", "end": "2026-11-30"} | query)

    def found(self, **query) -> list[dict]:
        return self.get(**query).json()["entries"]

    def test_to_dos_appointments_and_emails_in_one_answer(self):
        self.a_to_do()
        self.an_appointment()
        EmailFactory(user=self.rep, contacts=[self.julia], sent_at=NINE, subject="Offer")
        assert {entry["kind"] for entry in self.found()} == {"to-do", "appointment", "email"}
        assert [entry["kind"] for entry in self.found(kind="email")] == ["email"]
        assert self.found(kind="none") == []

    def test_times_are_the_users_wall_clock(self):
        self.a_to_do()
        (entry,) = self.found()
        assert (entry["start"], entry["end"]) == ("2026-11-24T10:00:00", "2026-11-24T10:30:00")
        assert entry["url"].startswith("/calendar/to-dos/")
        assert entry["editable"]

    def test_the_end_of_whole_days_is_exclusive(self):
        self.a_to_do(**days(NINE, NINE + timedelta(days=2)))
        self.a_to_do(title="One day", **days(NINE))
        several, one = self.found()
        assert (several["start"], several["end"], several["allDay"]) == (
            "2026-11-24",
            "2026-11-27",
            True,
        )
        assert (one["start"], one.get("end")) == ("2026-11-24", None)

    def test_days_begin_at_midnight_where_the_user_is(self):
        self.a_to_do(title="in", starts_at=datetime(2026, 11, 22, 23, 10, tzinfo=UTC))
        self.a_to_do(title="out", starts_at=datetime(2026, 11, 29, 23, 10, tzinfo=UTC))
        assert [entry["title"] for entry in self.found()] == ["in"]

    def test_over_a_change_of_the_clocks(self):
        """In the night to 25 October 2026 the hour from two to three comes twice."""
        start = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
        self.a_to_do(starts_at=start, ends_at=start + timedelta(hours=2))
        (entry,) = self.found(start="2026-10-25", end="2026-10-26")
        assert (entry["start"], entry["end"]) == ("2026-10-25T02:30:00", "2026-10-25T03:30:00")

    def test_ones_own_name_is_left_out_others_are_named(self):
        self.a_to_do()
        assert "owners" not in self.found()[0]
        self.sign_in(self.manager)
        assert self.found()[0]["owners"] == "Mia Berg"

    def test_overdue_is_for_open_to_dos(self):
        past = NINE - timedelta(days=400)
        for fields in ({}, {"completed_at": NINE}):
            self.a_to_do(starts_at=past, **fields)
        self.an_appointment(starts_at=past, ends_at=past)
        day = (past - timedelta(days=1)).date().isoformat()
        end = (past + timedelta(days=2)).date().isoformat()
        late = [entry.get("overdue", False) for entry in self.found(start=day, end=end)]
        assert sorted(late) == [False, False, True]

    def test_filters(self):
        self.a_to_do(title="Mia's")
        self.a_to_do(title="Sam's", owner=self.teammate, customer=None, contact=None)
        self.sign_in(self.manager)
        assert len(self.found()) == 2
        assert [entry["title"] for entry in self.found(rep=self.teammate.pk)] == ["Sam's"]
        assert [entry["title"] for entry in self.found(customer=self.customer.pk)] == ["Mia's"]
        assert self.found(contact=self.julia.pk) == []

    def test_what_makes_no_sense_is_refused_with_a_sentence(self):
        for query in (
            {"start": ""},
            {"end": "soon"},
            {"end": "2026-11-23"},
            {"end": "2028-11-23"},
            {"start": "0001-01-01", "end": "0001-02-01"},
            {"kind": "letters"},
            {"rep": self.stranger.pk},
            {"rep": "x"},
            {"customer": 999999},
        ):
            response = self.get(**query)
            assert response.status_code == 400, query
            assert response.json()["error"], query

    def queries_for(self, number: int) -> int:
        ActionItem.objects.bulk_create(
            ActionItem(
                owner=self.rep,
                type=self.call,
                customer=self.customer,
                title=f"Number {n}",
                starts_at=NINE + timedelta(minutes=n % 100),
                ends_at=NINE + timedelta(minutes=n % 100 + 30),
            )
            for n in range(number)
        )
        with CaptureQueriesContext(
            connection,
        ) as captured:
            response = self.get(customer=self.customer.pk, rep=self.rep.pk)
        assert len(response.json()["entries"]) == number
        assert response.json()["isCut"] is False
        ActionItem.objects.all().delete()
        return len(captured)

    def test_the_number_of_queries_does_not_grow(self):
        """Session, viewer, the two filters, action items, conversations."""
        assert self.queries_for(10) == self.queries_for(2000) == 6

    def test_anonymous_must_sign_in(self):
        self.client.logout()
        assert self.get().status_code == 302

    def test_it_rejects_other_methods(self):
        assert self.client.post(URL).status_code == 405
