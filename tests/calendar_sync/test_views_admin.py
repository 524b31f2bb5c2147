"""Action types, and the brake: what admins decide about calendars."""

from calendar_sync.feeds import make_feed
from calendar_sync.models import ActionItem, ActionType, CalendarCursor, CalendarFeed
from tests.accounts.cast import HTMX
from tests.calendar_sync.cast import NINE, CalendarCastTestCase, a_type
from tests.factories import RunningMailboxFactory

TYPES = "/calendar/types/"


class ActionTypeTests(CalendarCastTestCase):
    def setUp(self) -> None:
        self.sign_in(self.admin)

    def test_the_list_says_what_each_does_and_how_many_have_it(self):
        self.a_to_do()
        a_type("Imported")
        page = self.client.get(TYPES)
        self.assertContains(page, "Call")
        assert {found.name: found.item_count for found in page.context["types"]}["Call"] == 1
        assert page.context["imported"].name == "Imported"

    def test_a_new_one(self):
        self.client.post(f"{TYPES}new/", {"name": " Trade  fair ", "is_active": "on"})
        found = ActionType.objects.get(name="Trade fair")
        assert not found.sync_by_default
        assert found.is_active

    def test_names_are_there_once_and_imported_is_kept(self):
        for name, sentence in (
            ("CALL", "There is a type “CALL” already."),
            ("imported", "“Imported” is kept for appointments"),
            ("", "This field is required."),
        ):
            response = self.client.post(f"{TYPES}new/", {"name": name, "is_active": "on"})
            self.assertContains(response, sentence)

    def test_it_is_changed(self):
        self.client.post(f"{TYPES}{self.call.pk}/", {"name": "Phone call"})
        self.call.refresh_from_db()
        assert (self.call.name, self.call.is_active) == ("Phone call", False)

    def test_unused_it_is_deleted_in_use_it_stays(self):
        self.a_to_do()
        self.assertNotContains(self.client.get(f"{TYPES}{self.call.pk}/"), "/delete/")
        response = self.client.post(f"{TYPES}{self.call.pk}/delete/", follow=True)
        self.assertContains(response, "cannot be deleted")
        assert ActionType.objects.filter(pk=self.call.pk).exists()
        self.assertContains(self.client.get(f"{TYPES}{self.task.pk}/"), "/delete/")
        self.client.post(f"{TYPES}{self.task.pk}/delete/")
        assert not ActionType.objects.filter(pk=self.task.pk).exists()

    def test_imported_cannot_be_changed_or_deleted(self):
        imported = a_type("Imported")
        assert self.client.get(f"{TYPES}{imported.pk}/").status_code == 404
        assert self.client.post(f"{TYPES}{imported.pk}/delete/").status_code == 404
        assert ActionType.objects.filter(pk=imported.pk).exists()

    def test_a_type_that_is_switched_off_is_not_offered_but_kept(self):
        item = self.a_to_do(type=self.task)
        ActionType.objects.filter(pk=self.task.pk).update(is_active=False)
        option = f'<option value="{self.task.pk}" data-sync'
        self.assertNotContains(self.client.get("/calendar/to-dos/new/"), option)
        self.assertContains(self.client.get(item.get_absolute_url()), ">Task</option>")

    def test_admins_only(self):
        for url in (TYPES, f"{TYPES}new/", f"{TYPES}{self.call.pk}/"):
            self.assert_only({"admin"}, url)
        self.sign_in(self.manager)
        assert self.client.post(f"{TYPES}{self.task.pk}/delete/").status_code == 404


class BrakeTests(CalendarCastTestCase):
    panel = "/calendar/brake/"

    def setUp(self) -> None:
        super().setUp()
        mailbox = RunningMailboxFactory(user=self.rep, calendar_enabled=True)
        self.cursor = CalendarCursor.objects.create(
            mailbox=mailbox,
            calendar_id="c",
            name="Work",
            held_deletions={"there": 30, "here": 7},
            held_at=NINE,
        )
        self.release = f"{self.panel}{self.cursor.pk}/release/"

    def test_the_rep_is_told_what_waits_and_who_decides(self):
        page = self.text_of(self.client.get(self.panel, headers=HTMX))
        assert "37 deletions wait for an admin's decision." in page
        assert "30 events would be removed from your calendar." in page
        assert "7 events have disappeared" in page
        assert "Carry them out" not in page

    def test_an_admin_decides(self):
        self.sign_in(self.admin)
        page = self.client.get(f"/users/{self.rep.pk}/email-integration/")
        panel = f"{self.panel}?user={self.rep.pk}"
        self.assertContains(page, panel)
        self.assertContains(self.client.get(panel, headers=HTMX), "Carry them out")
        self.client.post(self.release)
        self.cursor.refresh_from_db()
        assert self.cursor.released_at
        allowed = self.client.get(panel, headers=HTMX)
        self.assertContains(allowed, "the next pass carries it out")
        self.assertNotContains(allowed, "Carry them out")

    def test_nothing_held_nothing_shown(self):
        CalendarCursor.objects.update(held_at=None, held_deletions={})
        assert self.client.get(self.panel, headers=HTMX).content.strip() == b""
        self.sign_in(self.admin)
        self.client.post(self.release)
        self.cursor.refresh_from_db()
        assert self.cursor.released_at is None

    def test_only_admins_release(self):
        for user in (self.rep, self.manager):
            self.sign_in(user)
            assert self.client.post(self.release).status_code == 404
        self.cursor.refresh_from_db()
        assert self.cursor.released_at is None

    def test_whose_brake_somebody_sees(self):
        panel = f"{self.panel}?user={self.rep.pk}"
        self.assert_only({"rep", "admin"}, panel)


class FreshDatabaseTests(CalendarCastTestCase):
    def test_a_new_crm_has_types_to_choose_from(self):
        """A migration makes them, so that the first to-do can be added at once."""
        names = set(ActionType.objects.values_list("name", flat=True))
        assert {"Call", "Meeting", "Visit", "Email", "Follow up", "Task"} <= names
        assert not ActionItem.objects.exists()


class AdminSiteTests(CalendarCastTestCase):
    def test_rows_can_be_looked_up_and_not_changed(self):
        item = self.an_appointment(contacts=[self.julia])
        self.sign_in(self.admin)
        for name in ("actionitem", "calendarcursor", "eventfailure", "calendarfeed"):
            assert self.client.get(f"/admin/calendar_sync/{name}/?q=x").status_code == 200, name
        page = self.client.get(f"/admin/calendar_sync/actionitem/{item.pk}/change/")
        self.assertContains(page, "j.ruiz@harbor.example")
        self.assertNotContains(page, 'name="_save"')

    def test_a_feeds_address_is_not_there_but_it_can_be_revoked(self):
        feed = make_feed(self.rep)
        self.sign_in(self.admin)
        page = self.client.get(f"/admin/calendar_sync/calendarfeed/{feed.pk}/change/")
        self.assertNotContains(page, feed.secret)
        self.assertNotContains(page, feed.digest)
        self.client.post(f"/admin/calendar_sync/calendarfeed/{feed.pk}/delete/", {"post": "yes"})
        assert not CalendarFeed.objects.exists()
