"""Sections of the customer page that open, close and remember it."""

from accounts.models import ShutterState
from tests.accounts.cast import CastTestCase, one_section


class ShutterTests(CastTestCase):
    def opened(self) -> dict[str, bool]:
        with one_section():
            response = self.client.get(f"/customers/{self.customer.pk}/")
        return {shutter.key: shutter.is_open for shutter in response.context["shutters"]}

    def test_all_are_open_at_first(self):
        assert self.opened() == {"contacts": True, "emails": True}

    def test_a_closed_one_stays_closed_for_this_user(self):
        response = self.client.post("/shutters/emails/", {"state": "closed"})
        assert response.status_code == 204
        assert self.opened() == {"contacts": True, "emails": False}
        self.sign_in(self.teammate)
        assert self.opened()["emails"]

    def test_a_closed_one_is_fetched_only_when_it_is_opened(self):
        self.client.post("/shutters/emails/", {"state": "closed"})
        with one_section():
            response = self.client.get(f"/customers/{self.customer.pk}/")
        self.assertContains(response, 'hx-trigger="toggle from:closest details once"')

    def test_it_opens_again(self):
        self.client.post("/shutters/emails/", {"state": "closed"})
        self.client.post("/shutters/emails/", {"state": "closed"})
        self.client.post("/shutters/emails/", {"state": "open"})
        assert self.opened()["emails"]

    def test_nonsense_is_refused(self):
        for url, state in (("/shutters/emails/", "ajar"), (f"/shutters/{'x' * 41}/", "closed")):
            assert self.client.post(url, {"state": state}).status_code == 400
        assert not ShutterState.objects.exists()

    def test_it_rejects_a_link(self):
        assert self.client.get("/shutters/emails/").status_code == 405

    def test_anonymous_must_sign_in(self):
        self.client.logout()
        assert self.client.post("/shutters/emails/").status_code == 302
