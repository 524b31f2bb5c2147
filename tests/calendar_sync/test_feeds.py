"""The .ics feed: a secret address, what it holds, and what it never says."""

import logging
from datetime import UTC, date, datetime, timedelta
from unittest import mock

from django.test import Client, override_settings
from django.utils import timezone
from icalendar import Calendar

from calendar_sync import feeds
from calendar_sync.models import ActionItem, CalendarFeed
from tests.accounts.cast import HTMX
from tests.calendar_sync.cast import NINE, CalendarCastTestCase, days

URL = "/calendar/feed.ics"


class FeedTests(CalendarCastTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.now = datetime(2026, 11, 22, 12, tzinfo=UTC)
        self.enterContext(mock.patch.object(timezone, "now", lambda: self.now))
        self.secret = feeds.make_feed(self.rep).secret
        self.client = Client()  # no login

    def get(self, secret: str | None = None, **headers):
        return self.client.get(URL, {"key": secret or self.secret}, headers=headers)

    def events(self) -> dict[str, dict]:
        calendar = Calendar.from_ical(self.get().content)
        return {str(event["SUMMARY"]): event for event in calendar.walk("VEVENT")}

    def test_it_needs_no_login_and_is_a_calendar(self):
        self.a_to_do(location="Pier 4", note="Bring the plan; and, yes, the Müller file")
        response = self.get()
        assert response["Content-Type"] == "text/calendar; charset=utf-8"
        event = self.events()["Q3 media plan"]
        assert event.decoded("DTSTART") == NINE
        assert event.decoded("DTEND") == NINE + timedelta(minutes=30)
        assert event["LOCATION"] == "Pier 4"
        assert "Customer: Harbor Foods" in event["DESCRIPTION"]
        assert "the Müller file" in event["DESCRIPTION"]
        assert event["STATUS"] == "CONFIRMED"

    def test_lines_are_folded_and_end_as_the_standard_wants(self):
        self.a_to_do(title="ö" * 200, note="\n".join(["a line"] * 9))
        body = self.get().content
        lines = body.split(b"\r\n")
        assert max(map(len, lines)) <= 75
        assert body.count(b"\n") == body.count(b"\r\n")
        assert "ö" * 200 in self.events()

    def test_whole_days_end_on_the_day_after(self):
        self.a_to_do(**days(NINE, NINE + timedelta(days=2)))
        event = self.events()["Q3 media plan"]
        assert event.decoded("DTSTART") == date(2026, 11, 24)
        assert event.decoded("DTEND") == date(2026, 11, 27)

    def test_a_private_appointment_is_a_time_and_nothing_else(self):
        self.an_appointment(title="Therapy", location="Dr Lee", note="sad", is_private=True)
        event = self.events()["Private appointment"]
        assert set(event) <= {
            "UID", "DTSTAMP", "LAST-MODIFIED", "DTSTART", "DTEND", "SUMMARY", "STATUS", "CLASS",
        }  # fmt: skip
        assert b"Therapy" not in self.get().content
        assert b"Dr Lee" not in self.get().content

    def test_a_cancelled_appointment_says_so(self):
        self.an_appointment(cancelled_at=NINE)
        assert self.events()["Review rates"]["STATUS"] == "CANCELLED"

    def test_the_same_item_keeps_its_identity(self):
        item = self.a_to_do()
        before = self.events()["Q3 media plan"]["UID"]
        ActionItem.objects.update(title="Renamed", starts_at=NINE + timedelta(hours=1),
                                  ends_at=NINE + timedelta(hours=2))  # fmt: skip
        assert self.events()["Renamed"]["UID"] == before
        assert str(item.pk) in before

    def test_only_the_users_own_of_the_past_90_and_the_next_400_days(self):
        self.a_to_do(title="mine")
        self.a_to_do(title="Sam's", owner=self.teammate)
        self.a_to_do(title="deleted", deleted_at=NINE)
        self.a_to_do(title="long ago", starts_at=self.now - timedelta(days=92))
        self.a_to_do(title="lately", starts_at=self.now - timedelta(days=89))
        self.a_to_do(title="far", starts_at=self.now + timedelta(days=402))
        self.a_to_do(title="next year", starts_at=self.now + timedelta(days=399))
        assert set(self.events()) == {"mine", "lately", "next year"}

    def test_a_wrong_or_revoked_secret_finds_nothing(self):
        assert self.get("wrong").status_code == 404
        assert self.client.get(URL).status_code == 404
        former = self.secret
        self.secret = feeds.make_feed(self.rep).secret
        assert former != self.secret
        assert self.get(former).status_code == 404
        assert self.get().status_code == 200
        CalendarFeed.objects.all().delete()
        assert self.get().status_code == 404

    def test_who_left_has_no_feed(self):
        self.rep.is_active = False
        self.rep.save()
        assert self.get().status_code == 404

    def test_an_unchanged_feed_is_not_sent_again(self):
        self.a_to_do()
        first = self.get()
        assert first["Cache-Control"] == "private, no-cache"
        self.now += timedelta(hours=1)
        again = self.get(**{"If-None-Match": first["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        since = self.get(**{"If-Modified-Since": first["Last-Modified"]})
        assert since.status_code == 304
        ActionItem.objects.update(deleted_at=self.now)
        for headers in (
            {"If-None-Match": first["ETag"]},
            {"If-Modified-Since": first["Last-Modified"]},
        ):
            assert self.get(**headers).status_code == 200

    def test_when_it_was_read_is_noted(self):
        self.get()
        assert CalendarFeed.objects.get().read_at == self.now

    def test_the_secret_is_long_encrypted_and_found_by_its_digest(self):
        assert len(self.secret) >= 43  # 32 bytes
        stored = CalendarFeed.objects.raw("SELECT * FROM calendar_sync_calendarfeed")[0]
        assert stored.digest == feeds.digest(self.secret)
        assert self.secret not in str(
            CalendarFeed.objects.extra(select={"raw": "secret"}).values("raw")[0]
        )

    def test_the_secret_is_in_no_log_and_on_no_error_page(self):
        with self.assertLogs(level=logging.DEBUG) as logs:
            logging.getLogger().info("something, so that there is a log")
            refused = self.get("wrong-secret")
            self.client.raise_request_exception = False
            with mock.patch.object(feeds, "calendar", side_effect=RuntimeError("broken")):
                broken = self.get()
            with mock.patch.object(feeds, "calendar", side_effect=RuntimeError("broken")):
                self.client.post(f"{URL}?key={self.secret}")
        assert (refused.status_code, broken.status_code) == (404, 500)
        written = "\n".join(logs.output)
        for secret in (self.secret, "wrong-secret"):
            assert secret not in written
            assert secret not in refused.content.decode() + broken.content.decode()
        assert URL in written

    def test_it_only_reads(self):
        assert self.client.post(URL, {"key": self.secret}).status_code == 405


@override_settings(PUBLIC_URL="https://crm.example")
class AddressTests(CalendarCastTestCase):
    panel, make, revoke = (
        "/calendar/address/", "/calendar/address/make/", "/calendar/address/revoke/",
    )  # fmt: skip

    def test_it_is_made_shown_copied_and_read(self):
        self.assertContains(self.client.get("/profile/"), f'hx-get="{self.panel}"')
        self.assertContains(self.client.get(self.panel, headers=HTMX), "There is no address yet.")
        self.client.post(self.make)
        page = self.client.get(self.panel, headers=HTMX)
        address = f"https://crm.example{URL}?key={self.rep.calendar_feed.secret}"
        self.assertContains(page, f'data-copy="{address}"')
        self.assertContains(page, "never yet")
        reader = Client()
        assert reader.get(address.removeprefix("https://crm.example")).status_code == 200
        self.assertNotContains(self.client.get(self.panel, headers=HTMX), "never yet")

    def test_revoking_asks_first(self):
        self.client.post(self.make)
        self.assertContains(self.client.get(self.revoke), "the old one never works again")
        assert CalendarFeed.objects.exists()
        self.client.post(self.revoke)
        assert not CalendarFeed.objects.exists()

    def test_everybody_has_their_own(self):
        self.client.post(self.make)
        self.sign_in(self.admin)
        self.assertContains(self.client.get(self.panel, headers=HTMX), "There is no address yet.")
        self.client.post(self.revoke)
        assert CalendarFeed.objects.filter(user=self.rep).exists()

    def test_it_is_not_made_by_a_link(self):
        assert self.client.get(self.make).status_code == 405

    def test_anonymous_must_sign_in(self):
        for url in (self.panel, self.revoke):
            self.assert_anonymous_must_sign_in(url)
