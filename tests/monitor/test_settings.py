"""The settings of the sync, and the Nylas application."""

from unittest import mock

from django.test import override_settings

from accounts import system_settings
from accounts.models import SystemSetting
from accounts.system_settings import LIMITS
from crm_sync.providers.errors import ProviderError, TransientError
from tests.accounts.cast import HTMX
from tests.email_cast import EmailCastTestCase

DEFAULTS = {
    "processing": "on",
    "interval": "5",
    "backfill_days": "30",
    "look_back_days": "0",
    "retention_days": "365",
    "stop_after_failures": "10",
    "company_domains": "",
    "appointments": "my-contacts",
    "deletion_limit": "20",
    "deletion_share": "50",
}


class SettingsTests(EmailCastTestCase):
    url = "/integration/settings/"

    def setUp(self) -> None:
        self.sign_in(self.admin)

    def post(self, **changed):
        values = {name: value for name, value in (DEFAULTS | changed).items() if value is not None}
        return self.client.post(self.url, values, follow=True)

    def test_it_shows_what_is_set(self):
        system_settings.change("retention_days", "90")
        response = self.client.get(self.url)
        self.assertContains(response, 'name="retention_days" value="90"')

    def test_it_saves(self):
        response = self.post(interval="10", retention_days="90")
        self.assertContains(response, "The settings are saved.")
        assert system_settings.current().interval == 10
        assert system_settings.current().retention_days == 90

    def test_only_what_differs_is_stored(self):
        self.post(interval="10")
        assert [row.name for row in SystemSetting.objects.all()] == ["interval"]

    def test_nothing_changed_is_said(self):
        self.assertContains(self.post(), "Nothing was changed.")
        assert not SystemSetting.objects.exists()

    def test_processing_can_be_switched_off_and_on(self):
        self.post(processing=None)
        assert not system_settings.current().processing
        self.post(processing="on")
        assert system_settings.current().processing

    def test_an_interval_below_five_is_saved_with_a_warning(self):
        response = self.post(interval="1")
        assert system_settings.current().interval == 1
        self.assertContains(response, "5 or 10 is recommended")
        self.assertContains(response, "Below 5 min every mailbox is read so often")

    def test_five_minutes_are_no_reason_to_warn(self):
        self.assertNotContains(self.client.get(self.url), "Below 5 min")

    def test_what_is_out_of_bounds_is_refused_with_the_bounds(self):
        here = {name: limits for name, limits in LIMITS.items() if name in DEFAULTS}
        assert len(here) >= 7
        for name, (low, high) in here.items():
            for value in (low - 1, high + 1, "", "x", "1.5"):
                response = self.post(**{name: str(value)})
                self.assertContains(response, f"This is a whole number from {low} to {high}.")
                assert not SystemSetting.objects.exists(), (name, value)

    def test_company_domains(self):
        self.post(company_domains="@Northsound.Example ; other.example")
        assert system_settings.current().company_domains == ("northsound.example", "other.example")
        response = self.client.get(self.url)
        self.assertContains(response, 'value="northsound.example; other.example"')
        self.assertContains(self.post(company_domains="no domain"), "not “no domain”")

    def test_whose_appointments_are_imported(self):
        self.post(appointments="any-contact")
        assert system_settings.current().appointments == "any-contact"
        self.assertContains(self.post(appointments="everybody's"), "Choose one of the two.")
        assert system_settings.current().appointments == "any-contact"

    def test_the_brake_of_calendars(self):
        self.post(deletion_limit="5", deletion_share="10")
        current = system_settings.current()
        assert (current.deletion_limit, current.deletion_share) == (5, 10)

    def test_settings_of_other_pages_are_not_touched(self):
        system_settings.change("bcc", "on")
        self.post(interval="10")
        assert system_settings.current().bcc

    def test_one_bad_value_keeps_the_others_from_being_saved_and_typed_again(self):
        response = self.post(interval="0", retention_days="90")
        assert not SystemSetting.objects.exists()
        self.assertContains(response, 'name="retention_days" value="90"')

    @override_settings(
        NYLAS_API_URI="https://nylas.example",
        NYLAS_CLIENT_ID="client-7",
        NYLAS_API_KEY="key-secret",
    )
    def test_the_application_is_shown_but_never_its_key(self):
        response = self.client.get(self.url)
        self.assertContains(response, "https://nylas.example")
        self.assertContains(response, "client-7")
        self.assertNotContains(response, "key-secret")

    @override_settings(NYLAS_API_KEY="", NYLAS_CLIENT_ID="")
    def test_a_missing_key_is_said(self):
        self.assertContains(self.client.get(self.url), "not set", count=2)

    def test_admins_only(self):
        self.assert_only({"admin"}, self.url)
        self.sign_in(self.manager)
        assert self.client.post(self.url, DEFAULTS).status_code == 404

    def test_it_rejects_other_methods(self):
        assert self.client.put(self.url).status_code == 405

    def test_anonymous_must_sign_in(self):
        self.assert_anonymous_must_sign_in(self.url)


class TestConnectionTests(EmailCastTestCase):
    url = "/integration/settings/test-connection/"

    def setUp(self) -> None:
        self.sign_in(self.admin)

    def test_a_good_answer(self):
        with mock.patch("accounts.gateway.nylas") as nylas:
            nylas().check.return_value = "nylas.example accepts the API key."
            response = self.client.post(self.url, headers=HTMX)
        self.assertContains(response, "nylas.example accepts the API key.")

    def test_a_failure_in_plain_words(self):
        for error in (
            TransientError("Nylas did not answer."),
            ProviderError("Nylas does not accept the API key."),
        ):
            with mock.patch("accounts.gateway.nylas") as nylas:
                nylas().check.side_effect = error
                response = self.client.post(self.url, headers=HTMX)
            self.assertContains(response, str(error))
            self.assertContains(response, "text-danger")

    def test_admins_only(self):
        for user in (self.rep, self.manager):
            self.sign_in(user)
            assert self.client.post(self.url).status_code == 404

    def test_it_rejects_a_link(self):
        assert self.client.get(self.url).status_code == 405
