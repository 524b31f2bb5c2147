"""The profile's Email Integration tab: settings, connection, folders, disconnecting."""

import re
from datetime import timedelta
from unittest import mock

from django.utils import timezone

from accounts import system_settings
from accounts.models import Mailbox, MailboxSync
from accounts.signals import sync_wanted
from crm_sync.providers.errors import TransientError
from crm_sync.providers.types import Calendar, Folder
from tests.accounts.cast import HTMX, CastTestCase, stand_in
from tests.factories import MailboxFactory, RunningMailboxFactory

TAB = "/profile/email-integration/"


class MailboxTestCase(CastTestCase):
    def url(self, name: str) -> str:
        return f"/users/{self.rep.pk}/email-integration/{name}/"

    def assert_only_owner_and_admin(self, url: str, method: str = "get") -> None:
        for user, status in ((self.teammate, 404), (self.manager, 404), (self.stranger, 404)):
            self.sign_in(user)
            assert getattr(self.client, method)(url).status_code == status, user.username
        self.sign_in(self.admin)
        assert getattr(self.client, method)(url).status_code in {200, 302}


class SettingsTests(MailboxTestCase):
    fields = {
        "email_enabled": "on",
        "address": " Mia.Berg@Other.Example ",
        "folder_names": " Inbox ;; CoolStuff;inbox",
        "sent_folder_name": "",
        "calendar_enabled": "on",
        "calendar_name": "Work",
        "days_after": "0",
    }

    def test_the_fields_of_the_manual_are_there(self):
        response = self.client.get(TAB)
        for label in (
            "Enable Email Sync",
            "Email Folder(s)",
            "User Name / Email Address",
            "Connection Authorized",
            "Enable Calendar Sync",
            "Calendar Name",
            "Sync Days after Today",
        ):
            self.assertContains(response, label)

    def test_it_saves_what_was_entered_normalised(self):
        self.assertRedirects(self.client.post(TAB, self.fields), TAB)
        mailbox = self.rep.mailbox
        assert mailbox.address == "mia.berg@other.example"
        assert mailbox.folder_names == "Inbox; CoolStuff"
        assert (mailbox.calendar_name, mailbox.days_after) == ("Work", 0)
        assert (mailbox.email_enabled, mailbox.calendar_enabled) == (True, True)

    def test_what_is_no_address_is_refused(self):
        response = self.client.post(TAB, self.fields | {"address": "mia"})
        assert response.status_code == 200
        assert not Mailbox.objects.exists()

    def test_it_never_writes_over_a_grant(self):
        mailbox = MailboxFactory.create(user=self.rep, grant_id="old")
        real_save = Mailbox.save

        def save_after_the_callback(row, *args, **kwargs):
            Mailbox.objects.filter(pk=mailbox.pk).update(grant_digest="new", authorised_address="n")
            real_save(row, *args, **kwargs)

        with mock.patch.object(Mailbox, "save", save_after_the_callback):
            self.client.post(TAB, self.fields)
        row = Mailbox.objects.filter(pk=mailbox.pk).values("grant_digest", "authorised_address")
        assert row.get() == {"grant_digest": "new", "authorised_address": "n"}

    def test_other_folders_make_a_pass_due_now(self):
        mailbox = RunningMailboxFactory.create(user=self.rep)
        self.client.post(TAB, self.fields)
        assert mailbox.syncs.get(kind="email").next_due_at <= timezone.now()  # type: ignore[operator]

    def test_an_admin_changes_anybodys_settings_but_cannot_authorise(self):
        self.sign_in(self.admin)
        url = f"/users/{self.rep.pk}/email-integration/"
        response = self.client.get(url)
        self.assertContains(response, "Only Mia Berg can authorise this mailbox")
        self.assertNotContains(response, 'id="connection-authorise"')
        self.assertNotContains(response, '<a class="nav-link" href="/profile/">Profile</a>')
        self.assertRedirects(self.client.post(url, self.fields), url)
        assert self.rep.mailbox.folder_names == "Inbox; CoolStuff"
        assert not Mailbox.objects.filter(user=self.admin).exists()

    def test_nobody_else_opens_somebody_elses(self):
        self.assert_only_owner_and_admin(f"/users/{self.rep.pk}/email-integration/")

    def test_its_queries_are_few(self):
        RunningMailboxFactory.create(user=self.rep)
        # session, user, mailbox, syncs, system settings, the manager's name
        with self.assertNumQueries(6):
            self.client.get(TAB)

    def test_it_rejects_other_methods(self):
        assert self.client.delete(TAB).status_code == 405

    def test_anonymous_must_sign_in(self):
        self.assert_anonymous_must_sign_in(TAB)


class ConnectionTests(MailboxTestCase):
    def panel(self) -> str:
        return self.client.get(self.url("connection")).content.decode()

    def test_a_mailbox_that_was_never_authorised(self):
        panel = self.panel()
        assert "not connected" in panel
        assert "Authorize" in panel
        assert "hx-trigger" not in panel

    def test_a_healthy_mailbox_tells_when_it_was_read(self):
        soon = timezone.now() + timedelta(minutes=3)
        RunningMailboxFactory.create(user=self.rep, syncs__next_due_at=soon)
        panel = self.panel()
        for text in ("running", "Sync now", "Re-authorise", "Disconnect…", "in 3 min"):
            assert text in panel
        assert "every 20s" in panel

    def test_it_asks_often_while_something_happens(self):
        MailboxFactory.create(user=self.rep)
        assert "every 2s" in self.panel()

    def test_a_running_pass_shows(self):
        until = timezone.now() + timedelta(minutes=1)
        RunningMailboxFactory.create(
            user=self.rep, syncs__lease_holder="h:1", syncs__lease_until=until
        )
        assert "Reading now" in self.panel()

    def test_a_rejected_grant_says_what_to_do(self):
        RunningMailboxFactory.create(
            user=self.rep, rejected_at=timezone.now(), rejection="Google no longer accepts us."
        )
        panel = self.panel()
        for text in ("invalid-credentials", "Google no longer accepts us.", "Click Re-authorise"):
            assert text in panel
        assert "Sync now" not in panel
        assert "none planned" in panel

    def test_a_stopped_mailbox_can_be_restarted(self):
        RunningMailboxFactory.create(
            user=self.rep, syncs__stopped_at=timezone.now(), syncs__failure_text="No answer."
        )
        panel = self.panel()
        for text in ("stopped", "No answer.", "Restart"):
            assert text in panel

    def test_a_partial_mailbox_names_the_folder(self):
        problems = [{"name": "CoolStuff", "cause": "The mailbox has no folder of this name."}]
        RunningMailboxFactory.create(user=self.rep, syncs__problems=problems)
        panel = self.panel()
        for text in ("partial", "CoolStuff", "no folder of this name"):
            assert text in panel

    def test_what_is_switched_off_says_so(self):
        mailbox = RunningMailboxFactory.create(user=self.rep)
        system_settings.change("processing", "off")
        assert "switched all processing off" in self.panel()
        mailbox.email_enabled = False
        mailbox.save()
        assert "Email sync is switched off" in self.panel()

    def test_another_address_than_the_authorised_one_says_so(self):
        RunningMailboxFactory.create(
            user=self.rep, address="a@x.example", authorised_address="b@x.example"
        )
        assert "Still connected to b@x.example" in self.panel()

    def with_calendar(self, **calendar) -> Mailbox:
        mailbox = RunningMailboxFactory.create(user=self.rep, calendar_enabled=True)
        MailboxSync.objects.filter(mailbox=mailbox, kind="calendar").update(**calendar)
        return mailbox

    def test_email_and_calendar_each_have_a_state(self):
        problem = {"name": "Clients", "cause": "The mailbox has no calendar named “Clients”."}
        self.with_calendar(problems=[problem])
        panel = self.panel()
        for text in ("running", "partial", "no calendar named", "Sync now"):
            assert text in panel
        assert panel.index("running") < panel.index('data-side="calendar"') < panel.index("partial")

    def test_what_is_wrong_with_both_is_told_once(self):
        mailbox = self.with_calendar()
        Mailbox.objects.update(rejected_at=timezone.now(), rejection="Google no longer accepts us.")
        assert mailbox.syncs.count() == 2
        panel = self.panel()
        assert panel.count("Google no longer accepts us.") == 1
        assert panel.count("Click Re-authorise") == 1
        assert "Sync now" not in panel
        Mailbox.objects.update(rejected_at=None, rejection="")
        system_settings.change("processing", "off")
        assert self.panel().count("switched all processing off") == 1

    def test_a_stopped_calendar_alone_can_be_restarted(self):
        self.with_calendar(stopped_at=timezone.now(), failure_text="The calendar did not answer.")
        panel = self.panel()
        for text in ("running", "stopped", "The calendar did not answer.", "Restart"):
            assert text in panel

    def test_with_the_calendar_alone_switched_on_the_calendar_is_what_is_told(self):
        self.with_calendar(listed_at=None, backfilled_at=None)
        Mailbox.objects.update(email_enabled=False)
        panel = self.panel()
        assert "initializing" in panel
        assert "running" not in panel
        assert "every 2s" in panel
        assert "switched off" not in panel

    def test_nobody_else_sees_it(self):
        self.assert_only_owner_and_admin(self.url("connection"))

    def test_it_rejects_a_post(self):
        assert self.client.post(self.url("connection")).status_code == 405


class SyncNowTests(MailboxTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.woken = mock.Mock()
        sync_wanted.connect(self.woken)
        self.addCleanup(sync_wanted.disconnect, self.woken)

    def test_it_makes_a_pass_due_wakes_a_worker_and_shows_it_queued(self):
        mailbox = RunningMailboxFactory.create(user=self.rep, syncs__stopped_at=timezone.now())
        with self.captureOnCommitCallbacks(execute=True):
            response = self.client.post(self.url("sync"), headers=HTMX)
        self.assertContains(response, "Queued")
        for sync in mailbox.syncs.all():
            assert sync.stopped_at is None
            assert sync.next_due_at <= timezone.now()  # type: ignore[operator]
        self.woken.assert_called_once()

    def test_without_scripts_it_returns_to_the_page(self):
        RunningMailboxFactory.create(user=self.rep)
        self.assertRedirects(self.client.post(self.url("sync")), TAB)

    def test_a_mailbox_that_was_never_authorised_is_left_alone(self):
        self.client.post(self.url("sync"))
        self.woken.assert_not_called()
        assert not Mailbox.objects.exists()

    def test_nobody_else_may(self):
        self.assert_only_owner_and_admin(self.url("sync"), "post")

    def test_it_rejects_a_link(self):
        assert self.client.get(self.url("sync")).status_code == 405


class FoldersTests(MailboxTestCase):
    listed = [
        Folder("1", "INBOX", "inbox"),
        Folder("2", "Gesendet", "sent"),
        Folder("3", "Inbox/CoolStuff"),
        Folder("4", "Papierkorb", "trash"),
    ]

    def get(self, listed, names: str = ""):
        MailboxFactory.create(user=self.rep, grant_id="g-7")
        with stand_in() as gateway:
            gateway.listed = listed
            response = self.client.get(self.url("folders"), {"folder_names": names})
        assert gateway.calls == [("folders", "g-7")]
        return response

    def test_it_lists_the_folders_that_can_be_synced(self):
        response = self.get(self.listed, "coolstuff")
        shown = [(folder["name"], folder["is_chosen"]) for folder in response.context["folders"]]
        assert shown == [("INBOX", False), ("Gesendet", False), ("CoolStuff", True)]

    def test_names_that_fit_no_folder_are_marked(self):
        response = self.get(self.listed, "Inbox; sent; Inbox\\COOLSTUFF; Nope; Papierkorb")
        assert [p.name for p in response.context["problems"]] == ["Nope", "Papierkorb"]
        self.assertContains(response, "<mark>Nope</mark>")

    def test_a_failure_is_a_sentence_with_a_retry(self):
        response = self.get(TransientError("Nylas did not answer."))
        self.assertContains(response, "Nylas did not answer.")
        self.assertContains(response, "Retry")

    def test_without_a_connection_nobody_is_asked(self):
        with stand_in() as gateway:
            response = self.client.get(self.url("folders"))
        self.assertContains(response, "once it is authorised")
        assert gateway.calls == []

    def test_nobody_else_sees_them(self):
        self.assert_only_owner_and_admin(self.url("folders"))

    def test_it_rejects_a_post(self):
        assert self.client.post(self.url("folders")).status_code == 405


class CalendarsTests(MailboxTestCase):
    listed = [
        Calendar("1", "Public holidays", is_read_only=True),
        Calendar("2", " Team "),
        Calendar("3", "Anna & Co", is_primary=True),
        Calendar("4", ""),
    ]

    def get(self, listed, **query: str):
        MailboxFactory.create(user=self.rep, grant_id="g-7", calendar_name="Saved")
        with stand_in() as gateway:
            gateway.calendars_listed = listed
            response = self.client.get(self.url("calendars"), query)
        assert gateway.calls == [("calendars", "g-7")]
        return response

    def options(self, response) -> list[tuple[str, bool]]:
        html = response.content.decode()
        found = re.findall(r'<option value="([^"]*)"( selected)?>', html)
        return [(value, bool(selected)) for value, selected in found]

    def test_it_offers_the_real_calendars_and_marks_the_one_in_the_field(self):
        response = self.get(self.listed, calendar_name="team ")
        assert self.options(response) == [
            ("", False),
            ("Anna &amp; Co", False),
            ("Team", True),
            ("Public holidays", False),
        ]
        self.assertContains(response, "Public holidays (read-only)")
        self.assertContains(response, 'name="calendar_name"', count=1)
        self.assertContains(response, "Refresh")

    def test_blank_stays_blank_and_says_which_one_it_means(self):
        response = self.get(self.listed, calendar_name=" ")
        assert [value for value, is_selected in self.options(response) if is_selected] == []
        self.assertContains(response, "Left blank, “Anna &amp; Co” is synced.")

    def test_a_name_that_fits_no_calendar_is_kept_and_marked(self):
        response = self.get(self.listed, calendar_name="<Clients>")
        assert ("&lt;Clients&gt;", True) in self.options(response)
        self.assertContains(response, "<mark>&lt;Clients&gt;</mark> cannot be synced")

    def test_a_read_only_calendar_says_what_that_means(self):
        response = self.get(self.listed, calendar_name="Public Holidays")
        self.assertContains(response, "nothing goes out")

    def test_without_a_question_the_saved_name_counts(self):
        self.assertContains(self.get(self.listed), "<mark>Saved</mark>")

    def test_a_mailbox_without_calendars(self):
        response = self.get([], calendar_name="")
        self.assertContains(response, "The mailbox has no calendar.")

    def test_a_failure_keeps_what_was_entered_and_offers_a_retry(self):
        response = self.get(TransientError("Nylas did not answer."), calendar_name="Team")
        self.assertContains(response, "Nylas did not answer.")
        self.assertContains(response, "Retry")
        self.assertContains(response, 'value="Team"')
        self.assertNotContains(response, "<select")

    def test_without_a_connection_nobody_is_asked(self):
        with stand_in() as gateway:
            response = self.client.get(self.url("calendars"), {"calendar_name": "Team"})
        self.assertContains(response, 'value="Team"')
        self.assertNotContains(response, "<button")
        assert gateway.calls == []

    def test_the_settings_offer_it_and_no_longer_say_that_calendars_are_not_read(self):
        RunningMailboxFactory.create(user=self.rep)
        response = self.client.get(TAB)
        self.assertContains(response, "Choose from the mailbox's calendars")
        self.assertNotContains(response, "not read yet")

    def test_nobody_else_sees_them(self):
        self.assert_only_owner_and_admin(self.url("calendars"))

    def test_it_rejects_a_post(self):
        assert self.client.post(self.url("calendars")).status_code == 405


class DisconnectTests(MailboxTestCase):
    def post(self, revoking=None, **form: str):
        self.mailbox = RunningMailboxFactory.create(user=self.rep, grant_id="g-7")
        with stand_in() as gateway:
            gateway.revoking = revoking
            response = self.client.post(self.url("disconnect"), form)
        self.mailbox.refresh_from_db()
        self.calls = gateway.calls
        return response

    def test_it_asks_first(self):
        RunningMailboxFactory.create(user=self.rep)
        response = self.client.get(self.url("disconnect"))
        self.assertContains(response, "Emails that are already here stay")
        self.assertContains(response, "checked")

    def test_it_forgets_the_grant_and_takes_the_access_back(self):
        self.assertRedirects(self.post(revoke="on"), TAB)
        assert self.calls == [("revoke", "g-7")]
        assert not self.mailbox.is_authorised
        assert not self.mailbox.syncs.exclude(next_due_at=None).exists()

    def test_here_only(self):
        self.assertRedirects(self.post(), TAB)
        assert self.calls == []
        assert not self.mailbox.is_authorised

    def test_a_failure_at_the_provider_changes_nothing_and_says_what_else_can_be_done(self):
        response = self.post(TransientError("Nylas did not answer."), revoke="on")
        self.assertContains(response, "Nylas did not answer.")
        self.assertContains(response, "untick the box")
        assert self.mailbox.is_authorised

    def test_a_mailbox_that_is_not_connected(self):
        self.assertContains(self.client.get(self.url("disconnect")), "not connected")

    def test_nobody_else_may(self):
        self.assert_only_owner_and_admin(self.url("disconnect"))

    def test_it_rejects_other_methods(self):
        assert self.client.delete(self.url("disconnect")).status_code == 405
