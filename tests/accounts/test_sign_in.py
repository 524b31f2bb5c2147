"""Coming in, going out, and what every answer carries."""

from django.test import Client, RequestFactory, TestCase, override_settings
from django.views.defaults import server_error

from tests.accounts.cast import HTMX, CastTestCase
from tests.factories import PASSWORD


class LoginTests(CastTestCase):
    def setUp(self) -> None:
        """Nobody is signed in."""

    def test_it_signs_in_and_goes_on_to_the_page_that_was_asked_for(self):
        form = {"username": "mia", "password": PASSWORD, "next": "/profile/"}
        self.assertRedirects(self.client.post("/login/", form), "/profile/")

    def test_a_wrong_password_is_explained(self):
        response = self.client.post("/login/", {"username": "mia", "password": "wrong"})
        self.assertContains(response, "do not fit")
        assert "_auth_user_id" not in self.client.session

    def test_it_does_not_lead_to_another_site(self):
        form = {"username": "mia", "password": PASSWORD, "next": "https://evil.example/"}
        self.assertRedirects(self.client.post("/login/", form), "/", target_status_code=302)

    def test_a_piece_of_a_page_reloads_the_whole_page(self):
        response = self.client.get("/customers/", headers=HTMX, follow=True)
        assert response["HX-Refresh"] == "true"

    def test_it_needs_a_csrf_token(self):
        client = Client(enforce_csrf_checks=True)
        response = client.post("/login/", {"username": "mia", "password": PASSWORD})
        self.assertContains(response, "This was not accepted", status_code=403)


class LogoutTests(CastTestCase):
    def test_it_signs_out(self):
        self.assertRedirects(self.client.post("/logout/"), "/login/")
        assert "_auth_user_id" not in self.client.session

    def test_it_rejects_a_link(self):
        assert self.client.get("/logout/").status_code == 405
        assert "_auth_user_id" in self.client.session


class HomeTests(CastTestCase):
    def test_reps_and_managers_begin_at_the_customers(self):
        for user in (self.rep, self.manager):
            self.sign_in(user)
            self.assertRedirects(self.client.get("/"), "/customers/")

    def test_admins_begin_at_the_monitor(self):
        self.sign_in(self.admin)
        self.assertRedirects(
            self.client.get("/"), "/integration/mailboxes/", fetch_redirect_response=False
        )

    def test_the_navigation_shows_settings_to_admins_only(self):
        self.assertNotContains(self.client.get("/customers/"), "System Settings")
        self.sign_in(self.admin)
        self.assertContains(self.client.get("/customers/"), "Email Integration Monitor")

    def test_a_stranger_must_sign_in(self):
        self.assert_anonymous_must_sign_in("/customers/")


class HeaderTests(CastTestCase):
    def test_the_content_policy_is_strict(self):
        policy = self.client.get("/customers/")["Content-Security-Policy"]
        parts = {part.strip() for part in policy.split(";")}
        assert {
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "form-action 'self'",
        } <= parts
        assert "unsafe" not in policy

    def test_pages_hold_no_inline_script_or_style(self):
        for url in ("/customers/", f"/customers/{self.customer.pk}/", "/profile/", "/login/"):
            text = self.client.get(url, follow=True).content.decode()
            assert "<style" not in text
            assert " style=" not in text
            assert "<script>" not in text
            assert " onclick=" not in text
            assert "//cdn" not in text

    def test_no_copy_of_a_page_is_kept(self):
        response = self.client.get("/customers/")
        assert response["Cache-Control"] == "private, no-store"
        assert "HX-Request" in response["Vary"]

    def test_nobody_may_frame_a_page(self):
        assert self.client.get("/customers/")["X-Frame-Options"] == "DENY"


class ErrorPageTests(CastTestCase):
    def test_an_unknown_address_says_so_to_users_and_strangers(self):
        self.assertContains(self.client.get("/none/"), "nothing here", status_code=404)
        self.client.logout()
        self.assertContains(self.client.get("/none/"), "nothing here", status_code=404)

    @override_settings(ALLOWED_HOSTS=["crm.example"])
    def test_a_bad_request_needs_no_user(self):
        response = self.client.get("/customers/", headers={"host": "evil.example"})
        self.assertContains(response, "could not understand", status_code=400)

    def test_a_failure_needs_nothing(self):
        response = server_error(RequestFactory().get("/"))
        self.assertContains(response, "Something went wrong", status_code=500)


class HealthTests(TestCase):
    def test_it_answers_without_a_user(self):
        response = self.client.get("/healthz")
        assert (response.status_code, response.content) == (200, b"ok")
