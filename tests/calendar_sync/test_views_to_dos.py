"""The list of to-dos, the dialog of one, and everything that is done with one click."""

from datetime import UTC, datetime, timedelta
from unittest import mock

from django.utils import timezone

from accounts.models import MyContact, User
from calendar_sync.models import ActionItem, ActionItemChange, EventLink
from calendar_sync.models.actions import midnight
from tests.accounts.cast import HTMX
from tests.calendar_sync.cast import NINE, CalendarCastTestCase, a_type, days
from tests.factories import ContactFactory, CustomerFactory, RunningMailboxFactory, UserFactory

NEW = "/calendar/to-dos/new/"


def at(moment: datetime):
    return mock.patch.object(timezone, "now", return_value=moment)


class ListTests(CalendarCastTestCase):
    @property
    def url(self) -> str:
        return f"/calendar/customers/{self.customer.pk}/to-dos/"

    def row(self, **fields) -> str:
        """What the list says about one to-do, on the evening of 22 November."""
        self.a_to_do(**fields)
        with at(datetime(2026, 11, 22, 17, tzinfo=UTC)):
            return self.text_of(self.client.get(self.url, headers=HTMX))

    def test_it_says_what_when_and_with_whom_in_the_users_zone(self):
        row = self.row(contact=self.julia, sync=False)
        for words in ("Q3 media plan", "Call", "Tue 24 Nov, 10:00–10:30", "Julia Ruiz"):
            assert words in row
        assert "Not synced" in row
        assert "Overdue" not in row

    def test_what_is_late_is_said_in_words(self):
        row = self.row(starts_at=datetime(2026, 11, 20, 9, tzinfo=UTC))
        assert "Overdue: Fri 20 Nov, 10:00–10:30" in row

    def test_a_day_is_late_when_it_is_over(self):
        assert "Overdue" not in self.row(**days(datetime(2026, 11, 22)))
        late = days(datetime(2026, 11, 20), datetime(2026, 11, 21))
        assert "Overdue: Fri 20 Nov – yesterday" in self.row(**late)

    def test_what_is_completed_is_never_late(self):
        row = self.row(starts_at=datetime(2026, 11, 20, 9, tzinfo=UTC), completed_at=NINE)
        assert "Overdue" not in row
        assert "Completed" in row

    def test_open_ones_come_first_the_most_urgent_on_top(self):
        self.a_to_do(title="done long ago", completed_at=NINE - timedelta(days=9))
        self.a_to_do(title="done lately", completed_at=NINE - timedelta(days=1))
        self.a_to_do(title="next week", starts_at=NINE + timedelta(days=7))
        self.a_to_do(title="tomorrow", starts_at=NINE + timedelta(days=1))
        page = self.client.get(self.url, headers=HTMX).content.decode()
        order = ["tomorrow", "next week", "done lately", "done long ago"]
        assert sorted(order, key=page.index) == order

    def test_the_state_of_the_sync_in_words(self):
        now = datetime(2026, 11, 22, 17, tzinfo=UTC)
        mailbox = RunningMailboxFactory(user=self.rep, calendar_enabled=True, days_after=7)
        cases = {
            "Waiting for the next sync": {"sync": True},
            "Waiting: outside the window until Thu 3 Dec": {
                "sync": True,
                "starts_at": datetime(2026, 12, 10, 9, tzinfo=UTC),
            },
            "Not sent: before the sync&#x27;s start, Fri 2 Oct": {
                "sync": True,
                "starts_at": datetime(2026, 9, 1, 9, tzinfo=UTC),
            },
            "Deleted in the mail app, kept here": {"sync": True, "unlinked_at": NINE},
        }
        for words, fields in cases.items():
            ActionItem.objects.all().delete()
            assert words in self.row(**fields), words
        item = ActionItem.objects.get()
        assert "Sync again" in self.text_of(self.client.get(self.url, headers=HTMX))

        ActionItem.objects.update(unlinked_at=None)
        link = EventLink.objects.create(
            item=item, mailbox=mailbox, calendar_id="c", event_id="", failure="The title is odd."
        )
        with at(now):
            self.assertContains(self.client.get(self.url), "Could not be sent: The title is odd.")
        EventLink.objects.filter(pk=link.pk).update(event_id="event-1", failure="")
        self.assertContains(self.client.get(self.url), "In your calendar")
        self.sign_in(self.manager)
        self.assertContains(self.client.get(self.url), "In Mia&#x27;s calendar")

    def test_without_a_connection_it_says_what_it_waits_for(self):
        assert "Waiting: your calendar is not connected" in self.row(sync=True)

    def test_appointments_and_what_is_deleted_are_not_in_it(self):
        self.an_appointment()
        self.a_to_do(deleted_at=NINE)
        self.assertContains(self.client.get(self.url), "Nothing to do yet")

    def test_the_same_for_a_contact(self):
        self.a_to_do(title="With Julia", contact=self.julia)
        self.a_to_do(title="With Kim", contact=self.kim)
        page = self.client.get(f"/calendar/contacts/{self.julia.pk}/to-dos/")
        self.assertContains(page, "With Julia")
        self.assertNotContains(page, "With Kim")

    def test_whose_are_shown(self):
        """Those of users whose records the viewer may read."""
        self.a_to_do()
        everybody = (self.rep, self.teammate, self.manager, self.other_manager, self.admin)
        seen = set()
        for user in everybody:
            self.sign_in(user)
            if "Q3 media plan" in self.client.get(self.url).content.decode():
                seen.add(user)
        assert seen == {self.rep, self.manager, self.admin}

    def test_pages_and_a_fixed_number_of_queries(self):
        RunningMailboxFactory(user=self.rep, calendar_enabled=True)
        for number in range(3):
            self.a_to_do(title=f"Number {number}", contact=self.julia, sync=True)
        with self.assertNumQueries(7):
            self.client.get(self.url, headers=HTMX)
        for number in range(3, 25):
            self.a_to_do(title=f"Number {number}", contact=self.julia, sync=True)
        with self.assertNumQueries(7):
            page = self.client.get(self.url, headers=HTMX)
        self.assertContains(page, "1–20 of 25 to-dos")
        second = self.client.get(self.url, {"page": 2}, headers=HTMX)
        self.assertContains(second, "21–25 of 25 to-dos")

    def test_it_is_a_section_of_both_pages_with_a_button_on_top(self):
        for page in (f"/customers/{self.customer.pk}/", f"/contacts/{self.julia.pk}/"):
            response = self.client.get(page)
            self.assertContains(response, "To-Dos")
            self.assertContains(response, f'href="{NEW}?')
            self.assertContains(response, "New To-Do")

    def test_anonymous_must_sign_in(self):
        self.assert_anonymous_must_sign_in(self.url)


class NewTests(CalendarCastTestCase):
    def values(self, **changed):
        values = {
            "title": "Call about Q3",
            "type": self.call.pk,
            "customer": "C7 · Harbor Foods",
            "contact": self.julia.pk,
            "date": "2026-11-24",
            "time": "10:00",
            "duration": "45",
            "location": "Room 2",
            "note": "Bring the plan",
            "sync": "on",
        } | changed
        return {name: value for name, value in values.items() if value is not None}

    def post(self, **changed):
        return self.client.post(NEW, self.values(**changed))

    def test_it_begins_with_the_customer_and_the_day_that_were_asked_for(self):
        page = self.client.get(f"{NEW}?customer={self.customer.pk}&date=2026-12-24&time=14:30")
        self.assertContains(page, 'value="C7 · Harbor Foods"')
        self.assertContains(page, 'value="2026-12-24"')
        self.assertContains(page, 'value="14:30"')
        self.assertContains(page, "Julia Ruiz")

    def test_for_a_contact_the_contact_is_chosen(self):
        page = self.client.get(f"{NEW}?contact={self.julia.pk}")
        self.assertContains(page, f'<option value="{self.julia.pk}" selected>')

    def test_an_address_that_makes_no_sense_is_the_usual_beginning(self):
        assert self.client.get(f"{NEW}?date=x&time=99&customer=x").status_code == 200
        assert self.client.get(f"{NEW}?customer=999999").status_code == 404

    def test_types_say_whether_they_sync_and_imported_cannot_be_chosen(self):
        a_type("Imported")
        a_type("Old", is_active=False)
        page = self.client.get(NEW)
        self.assertContains(page, f'<option value="{self.call.pk}" data-sync="on">')
        self.assertContains(page, f'<option value="{self.task.pk}" data-sync="off">')
        for name in ("Imported", "Old"):
            self.assertNotContains(page, f">{name}</option>")

    def test_it_is_added_with_times_in_the_users_zone(self):
        response = self.post()
        self.assertRedirects(response, self.customer.get_absolute_url())
        item = ActionItem.objects.get()
        assert item.starts_at == datetime(2026, 11, 24, 9, tzinfo=UTC)
        assert item.ends_at - item.starts_at == timedelta(minutes=45)
        assert (item.owner, item.customer, item.contact) == (self.rep, self.customer, self.julia)
        assert (item.location, item.note, item.sync) == ("Room 2", "Bring the plan", True)
        assert not item.all_day

    def test_in_a_dialog_it_closes_and_the_lists_ask_again(self):
        response = self.client.post(NEW, self.values(), headers=HTMX)
        self.assertContains(response, "The to-do “Call about Q3” was added.")
        assert "actions-changed" in response["HX-Trigger-After-Swap"]
        assert "dialog-close" in response["HX-Trigger-After-Swap"]

    def test_several_whole_days(self):
        self.post(all_day="on", last_date="2026-11-26", time=None)
        item = ActionItem.objects.get()
        assert item.all_day
        assert (item.first_day.day, item.last_day.day) == (24, 26)

    def test_completed_at_once_with_a_note(self):
        self.post(is_completed="on", completion_note="She agreed.")
        item = ActionItem.objects.get()
        assert item.completed_at
        assert item.completion_note == "She agreed."

    def test_what_is_wrong_is_said_in_sentences(self):
        cases = {
            "Enter a short description": {"title": " "},
            "Choose a type.": {"type": ""},
            "is not one customer": {"customer": "Nobody Ltd"},
            "Choose a contact of this customer.": {"contact": ContactFactory().pk},
            "Enter a date.": {"date": ""},
            "This is not a date.": {"date": "24.11."},
            "Enter a time, or switch “All day” on.": {"time": ""},
            "This is not a time.": {"time": "ten"},
            "The last day is before the first one.": {"all_day": "on", "last_date": "2026-11-23"},
            "The clocks are put forward on that day: 02:30 does not exist.": {
                "date": "2027-03-28",
                "time": "02:30",
            },
        }
        for sentence, changed in cases.items():
            self.assertContains(self.post(**changed), sentence)
        assert not ActionItem.objects.exists()

    def test_a_customer_is_found_by_number_or_name(self):
        for text in ("C7", "c7 · renamed meanwhile", "harbor foods"):
            self.post(customer=text)
        assert ActionItem.objects.filter(customer=self.customer).count() == 3
        CustomerFactory(name="Harbor Foods")
        self.assertContains(self.post(customer="Harbor Foods"), "is not one customer")

    def test_customers_and_contacts_are_offered(self):
        found = self.client.get("/calendar/to-dos/customers/", {"customer": "harb"})
        self.assertContains(found, '<option value="C7 · Harbor Foods">')
        self.assertNotContains(self.client.get("/calendar/to-dos/customers/"), "Harbor")
        contacts = self.client.get("/calendar/to-dos/contacts/", {"customer": "C7 · Harbor Foods"})
        self.assertContains(contacts, "Julia Ruiz")
        nobody = self.client.get("/calendar/to-dos/contacts/", {"customer": "Harb"})
        self.assertNotContains(nobody, "Julia Ruiz")

    def test_a_rep_cannot_give_it_to_somebody_else(self):
        self.post(owner=self.teammate.pk)
        assert ActionItem.objects.get().owner == self.rep

    def test_a_manager_gives_it_to_one_of_their_reps_only(self):
        self.sign_in(self.manager)
        self.post(owner=self.teammate.pk)
        assert ActionItem.objects.get().owner == self.teammate
        self.post(owner=self.stranger.pk)
        assert ActionItem.objects.count() == 1

    def test_it_rejects_other_methods(self):
        assert self.client.delete(NEW).status_code == 405

    def test_anonymous_must_sign_in(self):
        self.assert_anonymous_must_sign_in(NEW)


class EditTests(CalendarCastTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.item = self.a_to_do(contact=self.julia, sync=True, note="Bring the plan")
        self.url = f"/calendar/to-dos/{self.item.pk}/"

    def seen(self) -> dict[str, str]:
        """The form as the browser would send it back untouched, hidden fields and all."""
        form = self.client.get(self.url).context["form"]
        values = {}
        for bound in form:
            value = bound.field.prepare_value(bound.value())
            widget = bound.field.widget
            shown = widget.format_value(value) if hasattr(widget, "format_value") else value
            if isinstance(shown, list):
                shown = shown[0] if shown else ""
            if widget.__class__.__name__ == "CheckboxInput":
                if bound.value():
                    values[bound.html_name] = "on"
                values[bound.html_initial_name] = str(bound.value())
            else:
                values[bound.html_name] = values[bound.html_initial_name] = shown or ""
        return values

    def post(self, **changed):
        return self.client.post(self.url, self.seen() | changed)

    def test_who_may_open_it(self):
        self.assert_only({"rep", "manager", "admin"}, self.url)

    def test_saved_untouched_nothing_changes(self):
        start = NINE.replace(second=30)
        self.item = self.a_to_do(starts_at=start, ends_at=start + timedelta(minutes=37))
        self.url = f"/calendar/to-dos/{self.item.pk}/"
        before = ActionItemChange.objects.count()
        self.assertRedirects(self.post(), self.customer.get_absolute_url())
        self.item.refresh_from_db()
        assert (self.item.starts_at, self.item.changed_at) == (start, NINE)
        assert ActionItemChange.objects.count() == before

    def test_a_change_that_came_in_meanwhile_is_not_undone(self):
        """Somebody saves the note; the mail app had moved the event while the form was open."""
        seen = self.seen()
        moved = NINE + timedelta(hours=3)
        ActionItem.objects.update(starts_at=moved, ends_at=moved + timedelta(minutes=30))
        self.client.post(self.url, seen | {"note": "Bring both plans"})
        self.item.refresh_from_db()
        assert self.item.note == "Bring both plans"
        assert self.item.starts_at == moved

    def test_another_time(self):
        self.post(time="16:15", duration="60")
        self.item.refresh_from_db()
        assert self.item.starts_at == datetime(2026, 11, 24, 15, 15, tzinfo=UTC)
        assert self.item.ends_at == datetime(2026, 11, 24, 16, 15, tzinfo=UTC)

    def test_completing_and_opening_again(self):
        self.post(is_completed="on", completion_note="Agreed")
        self.item.refresh_from_db()
        assert self.item.completed_at
        assert self.item.completion_note == "Agreed"
        values = self.seen()
        del values["is_completed"]
        self.client.post(self.url, values)
        self.item.refresh_from_db()
        assert self.item.completed_at is None

    def test_a_manager_hands_it_over(self):
        self.sign_in(self.manager)
        self.post(owner=self.teammate.pk)
        self.item.refresh_from_db()
        assert self.item.owner == self.teammate

    def test_what_was_overwritten_stays_readable(self):
        ActionItemChange.objects.create(
            item=self.item,
            at=NINE,
            origin="calendar",
            summary="Changed in the mail app",
            fields={"Time": ["Mon 23 Nov, 10:00", "Tue 24 Nov, 10:00"], "Place": ["", "Room 2"]},
        )
        page = self.text_of(self.client.get(self.url))
        for words in ("Changed in the mail app", "Mon 23 Nov, 10:00", "Tue 24 Nov, 10:00", "empty"):
            assert words in page

    def test_what_is_written_in_it_is_escaped(self):
        ActionItem.objects.update(title="<script>alert(1)</script>", note="</textarea><b>x")
        page = self.client.get(self.url).content.decode()
        assert "<script>alert" not in page
        assert "</textarea><b>" not in page

    def test_what_is_deleted_is_not_here(self):
        ActionItem.objects.update(deleted_at=NINE)
        assert self.client.get(self.url).status_code == 404


class AppointmentTests(CalendarCastTestCase):
    def setUp(self) -> None:
        super().setUp()
        MyContact.objects.flag(self.rep, [self.julia])
        self.item = self.an_appointment(location="Pier 4", contacts=[self.julia, self.kim])
        self.url = f"/calendar/to-dos/{self.item.pk}/"

    def test_it_shows_what_the_manual_shows(self):
        page = self.text_of(self.client.get(self.url))
        for words in (
            "Imported",
            "Mia Berg",
            "Tue 24 Nov, 10:00–10:30",
            "30 min",
            "Pier 4",
            "Review rates",
            "Julia Ruiz",
            "j.ruiz@harbor.example",
            "organiser",
            "come from your calendar",
        ):
            assert words in page, words
        self.assertContains(self.client.get(self.url), self.julia.get_absolute_url())
        self.assertContains(self.client.get(self.url), f'id="star-{self.julia.pk}"')

    def test_only_its_completion_is_ours(self):
        self.client.post(
            self.url,
            {"is_completed": "on", "completion_note": "Went well", "title": "Mine", "date": "x"},
        )
        self.item.refresh_from_db()
        assert self.item.completed_at
        assert self.item.completion_note == "Went well"
        assert self.item.title == "Review rates"

    def test_the_note_alone(self):
        self.client.post(self.url, {"completion_note": "To be continued"})
        self.item.refresh_from_db()
        assert self.item.completed_at is None
        assert self.item.completion_note == "To be continued"

    def test_a_private_one_shows_its_time_only(self):
        ActionItem.objects.update(is_private=True, title="Therapy")
        page = self.text_of(self.client.get(self.url))
        assert "Private appointment" in page
        assert "Therapy" not in page
        assert "only its time is kept" in page

    def test_a_cancelled_one_says_so(self):
        ActionItem.objects.update(cancelled_at=NINE)
        self.assertContains(self.client.get(self.url), "cancelled")

    def test_it_cannot_be_moved(self):
        response = self.client.post(f"{self.url}move/", {"start": "2026-11-25T10:00:00"})
        self.item.refresh_from_db()
        assert self.item.starts_at == NINE
        assert response.status_code == 302

    def test_who_may_open_it(self):
        self.assert_only({"rep", "manager", "admin"}, self.url)


class OneClickTests(CalendarCastTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.item = self.a_to_do()

    def post(self, name: str, values: dict | None = None, **headers):
        return self.client.post(f"/calendar/to-dos/{self.item.pk}/{name}/", values, headers=headers)

    def test_complete_with_undo(self):
        response = self.post("complete", **HTMX)
        self.item.refresh_from_db()
        assert self.item.completed_at
        assert "actions-changed" in response["HX-Trigger-After-Swap"]
        self.assertContains(response, f"/calendar/to-dos/{self.item.pk}/reopen/")
        self.post("reopen")
        self.item.refresh_from_db()
        assert self.item.completed_at is None

    def test_without_scripts_it_goes_back_to_the_customer(self):
        self.assertRedirects(self.post("complete"), self.customer.get_absolute_url())

    def test_dragged_to_another_day_and_back(self):
        response = self.post("move", {"start": "2026-11-26T14:00:00"}, **HTMX)
        self.item.refresh_from_db()
        assert self.item.starts_at == datetime(2026, 11, 26, 13, tzinfo=UTC)
        assert self.item.ends_at == datetime(2026, 11, 26, 13, 30, tzinfo=UTC)
        self.assertContains(response, "is now Thu 26 Nov, 14:00–14:30")
        self.assertContains(response, 'name="start" value="2026-11-24T10:00:00"')
        self.post("move", {"start": "2026-11-24T10:00:00", "end": "2026-11-24T10:30:00"})
        self.item.refresh_from_db()
        assert (self.item.starts_at, self.item.ends_at) == (NINE, NINE + timedelta(minutes=30))

    def test_dragged_longer(self):
        self.post("move", {"start": "2026-11-24T10:00:00", "end": "2026-11-24T11:30:00"})
        self.item.refresh_from_db()
        assert self.item.ends_at - self.item.starts_at == timedelta(minutes=90)

    def test_over_a_change_of_the_clocks_it_keeps_its_length(self):
        """From Saturday noon to Sunday 01:30: the hour from two to three is skipped."""
        self.item = self.a_to_do(ends_at=NINE + timedelta(hours=3))
        self.post("move", {"start": "2027-03-28T01:30:00"})
        self.item.refresh_from_db()
        assert self.item.ends_at - self.item.starts_at == timedelta(hours=3)

    def test_to_whole_days_and_back_to_a_time(self):
        self.post("move", {"start": "2026-11-25", "all_day": "on"})
        self.item.refresh_from_db()
        assert self.item.all_day
        assert self.item.starts_at == self.item.ends_at == midnight(datetime(2026, 11, 25).date())
        self.post("move", {"start": "2026-11-25", "end": "2026-11-28", "all_day": "on"})
        self.item.refresh_from_db()
        assert self.item.last_day.day == 27
        self.post("move", {"start": "2026-11-29", "all_day": "on"})
        self.item.refresh_from_db()
        assert (self.item.first_day.day, self.item.last_day.day) == (29, 1)
        self.post("move", {"start": "2026-11-25T09:00:00"})
        timed = ActionItem.objects.get(all_day=False)
        assert timed.ends_at - timed.starts_at == timedelta(hours=1)

    def test_what_is_no_time_moves_nothing(self):
        for values in ({}, {"start": "soon"}, {"start": "2026-11-25", "end": "x"}):
            assert self.post("move", values).status_code == 400
        self.item.refresh_from_db()
        assert self.item.starts_at == NINE

    def test_sync_again(self):
        ActionItem.objects.update(unlinked_at=NINE, sync=True)
        self.post("sync-again")
        self.item.refresh_from_db()
        assert self.item.unlinked_at is None

    def test_delete_asks_first_says_what_happens_and_can_be_undone(self):
        url = f"/calendar/to-dos/{self.item.pk}/delete/"
        self.assertContains(self.client.get(url), "It disappears from the CRM.")
        assert ActionItem.objects.visible().exists()
        response = self.post("delete", **HTMX)
        assert not ActionItem.objects.visible().exists()
        assert "dialog-close" in response["HX-Trigger-After-Swap"]
        restore = f"/calendar/to-dos/{self.item.pk}/restore/"
        self.assertContains(response, restore)
        self.client.post(restore)
        assert ActionItem.objects.visible().exists()

    def test_deleting_says_what_becomes_of_the_event(self):
        mailbox = RunningMailboxFactory(user=self.rep)
        EventLink.objects.create(item=self.item, mailbox=mailbox, calendar_id="c", event_id="e")
        url = f"/calendar/to-dos/{self.item.pk}/delete/"
        self.assertContains(self.client.get(url), "its event from your calendar")
        self.item = self.an_appointment()
        url = f"/calendar/to-dos/{self.item.pk}/delete/"
        self.assertContains(self.client.get(url), "the appointment stays in your calendar")

    def test_nobody_else_changes_it(self):
        names = ("complete", "reopen", "move", "sync-again", "delete")
        for user in (self.teammate, self.stranger, self.other_manager):
            self.sign_in(user)
            for name in names:
                assert self.post(name, {"start": "2026-11-25"}).status_code == 404, name
        ActionItem.objects.update(deleted_at=NINE)
        assert self.post("restore").status_code == 404
        self.item.refresh_from_db()
        assert self.item.deleted_at == NINE
        assert self.item.completed_at is None

    def test_they_reject_links(self):
        for name in ("complete", "reopen", "move", "sync-again", "restore"):
            url = f"/calendar/to-dos/{self.item.pk}/{name}/"
            assert self.client.get(url).status_code == 405, name

    def test_an_owner_who_left_keeps_what_is_theirs(self):
        """A manager opens a to-do of somebody inactive: the owner is still among the choices."""
        left = UserFactory(manager=self.manager, is_active=False, role=User.Role.REP)
        item = self.a_to_do(owner=left)
        self.sign_in(self.manager)
        self.assertContains(
            self.client.get(item.get_absolute_url()), f'<option value="{left.pk}" selected>'
        )
