"""The pages with a calendar on them. What fills them: test_entries.py."""

import re

from tests.accounts.cast import HTMX
from tests.calendar_sync.cast import CalendarCastTestCase


class CalendarPageTests(CalendarCastTestCase):
    def test_the_own_calendar(self):
        page = self.client.get("/calendar/")
        self.assertContains(page, 'data-entries="/calendar/entries/"')
        self.assertContains(page, 'data-zone="Europe/Berlin"')
        self.assertContains(page, f'data-usual-rep="{self.rep.pk}"')
        self.assertContains(page, "New To-Do")

    def test_managers_choose_whose_reps_do_not(self):
        self.assertNotContains(self.client.get("/calendar/"), 'name="rep"')
        self.sign_in(self.manager)
        page = self.client.get("/calendar/")
        self.assertContains(page, f'<option value="{self.rep.pk}">Mia Berg</option>')
        self.assertNotContains(page, f'<option value="{self.stranger.pk}">')

    def test_a_customers_and_a_contacts_calendar_as_page_and_as_section(self):
        for url, query in (
            (f"/calendar/customers/{self.customer.pk}/", f"customer={self.customer.pk}"),
            (f"/calendar/contacts/{self.julia.pk}/", f"contact={self.julia.pk}"),
        ):
            page = self.client.get(url)
            self.assertContains(page, "Account Calendar")
            section = self.client.get(url, headers=HTMX)
            self.assertNotContains(section, "<html")
            for response in (page, section):
                self.assertContains(response, f'data-entries="/calendar/entries/?{query}"')
                self.assertContains(response, f'data-new="/calendar/to-dos/new/?{query}"')

    def test_it_is_a_section_of_both_pages(self):
        for whose in (self.customer, self.julia):
            page = self.client.get(whose.get_absolute_url())
            kind = "customers" if whose == self.customer else "contacts"
            self.assertContains(page, f'hx-get="/calendar/{kind}/{whose.pk}/"')

    def test_styles_are_allowed_by_a_nonce_and_only_where_a_calendar_is(self):
        """FullCalendar's style sheet is in its code; everything else comes from files."""
        nonce = r"'nonce-([^']+)'"
        for url in ("/calendar/", self.customer.get_absolute_url(), self.julia.get_absolute_url()):
            page = self.client.get(url)
            found = re.search(nonce, page["Content-Security-Policy"])
            assert found, url
            self.assertContains(page, f'<meta name="csp-nonce" content="{found[1]}">')
            assert "unsafe-inline" not in page["Content-Security-Policy"]
        for url in ("/customers/", "/profile/"):
            policy = self.client.get(url)["Content-Security-Policy"]
            assert "nonce" not in policy
            assert "style-src 'self';" in policy + ";"

    def test_it_is_in_the_navigation_for_everybody(self):
        for user in (self.rep, self.manager, self.admin):
            self.sign_in(user)
            self.assertContains(self.client.get("/customers/"), 'href="/calendar/"')
        self.assertContains(self.client.get("/customers/"), 'href="/calendar/types/"')
        self.sign_in(self.rep)
        self.assertNotContains(self.client.get("/customers/"), 'href="/calendar/types/"')

    def test_what_is_not_there(self):
        assert self.client.get("/calendar/customers/999999/").status_code == 404
        assert self.client.get("/calendar/contacts/999999/").status_code == 404

    def test_anonymous_must_sign_in(self):
        self.assert_anonymous_must_sign_in("/calendar/")
        self.assert_anonymous_must_sign_in(f"/calendar/customers/{self.customer.pk}/")
