"""One's own data."""

from accounts.models import UserAlias
from tests.accounts.cast import CastTestCase
from tests.factories import MailboxFactory


class ProfileTests(CastTestCase):
    url = "/profile/"

    def post(self, **changes: str):
        fields = {
            "first_name": "Mia",
            "last_name": "Berg",
            "email": "mia@northsound.example",
            "time_zone": "Europe/Berlin",
            "aliases": "",
        }
        return self.client.post(self.url, fields | changes)

    def test_it_saves_and_times_are_shown_in_the_new_zone(self):
        self.assertRedirects(self.post(), self.url)
        self.rep.refresh_from_db()
        assert self.rep.time_zone == "Europe/Berlin"

    def test_it_normalises_and_replaces_the_aliases(self):
        UserAlias.objects.create(user=self.rep, address="old@northsound.example")
        self.post(aliases="M.Berg@NorthSound.example\nm.berg@northsound.example")
        assert [row.address for row in self.rep.aliases.all()] == ["m.berg@northsound.example"]

    def test_an_address_of_another_user_is_refused(self):
        UserAlias.objects.create(user=self.teammate, address="s.cole@northsound.example")
        MailboxFactory.create(user=self.stranger, address="eve@private.example")
        for address in (
            "sam@northsound.example",
            "S.Cole@northsound.example",
            "eve@private.example",
        ):
            self.assertContains(self.post(aliases=address), "belongs to another user")
            self.assertContains(self.post(email=address), "belongs to another user")
        assert not self.rep.aliases.exists()

    def test_a_zone_that_does_not_exist_is_refused(self):
        self.assertContains(self.post(time_zone="Europe/Atlantis"), "Select a valid choice")

    def test_the_role_cannot_be_changed_here(self):
        self.post(role="admin", manager="", is_superuser="on")
        self.rep.refresh_from_db()
        assert (self.rep.role, self.rep.is_superuser) == ("rep", False)

    def test_a_refused_form_does_not_change_the_frame(self):
        response = self.post(first_name="Nobody", email="no address")
        self.assertContains(response, "Mia Berg")

    def test_it_rejects_other_methods(self):
        assert self.client.delete(self.url).status_code == 405

    def test_anonymous_must_sign_in(self):
        self.assert_anonymous_must_sign_in(self.url)
