"""My Contacts: one click, and many at once."""

from datetime import UTC, datetime

from accounts.models import MyContact
from tests.accounts.cast import HTMX, CastTestCase


class ContactFlagTests(CastTestCase):
    @property
    def url(self) -> str:
        return f"/contacts/{self.julia.pk}/flag/"

    def is_flagged(self) -> bool:
        return MyContact.objects.filter(user=self.rep, contact=self.julia).exists()

    def test_one_click_flags_and_shows_since_when(self):
        response = self.client.post(self.url, {"flag": "yes"}, headers=HTMX)
        assert self.is_flagged()
        self.assertContains(response, 'aria-pressed="true"')
        self.assertContains(response, "since")

    def test_another_click_takes_the_flag_away(self):
        MyContact.objects.flag(self.rep, [self.julia])
        response = self.client.post(self.url, {"flag": "no"}, headers=HTMX)
        assert not self.is_flagged()
        self.assertContains(response, 'aria-pressed="false"')

    def test_a_click_in_an_old_page_keeps_the_date(self):
        MyContact.objects.flag(self.rep, [self.julia])
        before = datetime(2026, 1, 2, tzinfo=UTC)
        MyContact.objects.update(since=before)
        self.client.post(self.url, {"flag": "yes"}, headers=HTMX)
        assert MyContact.objects.get().since == before

    def test_it_is_the_users_own_flag_only(self):
        MyContact.objects.flag(self.teammate, [self.julia])
        self.client.post(self.url, {"flag": "no"})
        assert MyContact.objects.filter(user=self.teammate).exists()

    def test_without_scripts_it_returns_to_the_page(self):
        response = self.client.post(self.url, {"flag": "yes", "next": "/customers/"})
        self.assertRedirects(response, "/customers/")

    def test_it_does_not_lead_to_another_site(self):
        for evil in ("https://evil.example/", "//evil.example", "javascript:alert(1)"):
            response = self.client.post(self.url, {"next": evil})
            self.assertRedirects(response, f"/contacts/{self.julia.pk}/")

    def test_it_rejects_a_link(self):
        assert self.client.get(self.url).status_code == 405

    def test_a_contact_that_is_not_there(self):
        assert self.client.post("/contacts/999999/flag/").status_code == 404

    def test_anonymous_must_sign_in(self):
        self.client.logout()
        assert self.client.post(self.url).status_code == 302
        assert not self.is_flagged()


class BulkFlagTests(CastTestCase):
    url = "/contacts/flag/"

    def post(self, flag: str, *contacts):
        keys = [contact.pk for contact in contacts]
        form = {"contacts": keys, "flag": flag, "next": f"/customers/{self.customer.pk}/"}
        return self.client.post(self.url, form, follow=True)

    def mine(self) -> set[str]:
        return {row.contact.first_name for row in MyContact.objects.filter(user=self.rep)}

    def test_it_flags_all_chosen_and_counts_the_new_ones(self):
        MyContact.objects.flag(self.rep, [self.julia])
        response = self.post("yes", self.julia, self.kim)
        assert self.mine() == {"Julia", "Kim"}
        self.assertContains(response, "1 contact added to My Contacts. 1 contact had been there")

    def test_it_takes_all_chosen_out(self):
        MyContact.objects.flag(self.rep, [self.julia, self.kim])
        response = self.post("no", self.julia, self.kim)
        assert self.mine() == set()
        self.assertContains(response, "2 contacts taken out")

    def test_what_was_done_can_be_undone(self):
        MyContact.objects.flag(self.rep, [self.julia])
        response = self.post("yes", self.julia, self.kim)
        message = self.messages_of(response)
        assert "Undo" in message
        assert f'value="{self.kim.pk}"' in message
        assert f'name="contacts" value="{self.julia.pk}"' not in message

    def test_nothing_chosen_is_explained(self):
        self.assertContains(self.post("yes"), "Choose the contacts first")

    def test_a_contact_that_is_not_there_changes_nothing(self):
        self.client.post(self.url, {"contacts": [self.kim.pk, 999999], "flag": "yes"})
        assert self.mine() == set()

    def test_it_rejects_a_link(self):
        assert self.client.get(self.url).status_code == 405
