"""Django's admin site: for looking things up, not for reading mail."""

from django.apps import apps
from django.contrib import admin
from django.urls import reverse

from email_sync import models
from tests.email_cast import EmailCastTestCase
from tests.email_factories import NOON, EmailFactory, FolderCursorFactory, LedgerEntryFactory, count

MODELS = list(apps.get_app_config("email_sync").get_models())
READ_ONLY = {models.LedgerEntry, models.DailyCount, models.EmailParticipant}


class EmailAdminSiteTests(EmailCastTestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        super().setUpTestData()
        cls.email = EmailFactory(
            user=cls.rep, contacts=[cls.julia], body_text="Confidential", body_html="Confidential"
        )
        cls.entry = LedgerEntryFactory(user=cls.rep)
        FolderCursorFactory()
        count(cls.rep, "matched", 3, day=NOON.date())

    def setUp(self) -> None:
        self.sign_in(self.admin)

    def address(self, model, page: str, *args) -> str:
        return reverse(f"admin:email_sync_{model._meta.model_name}_{page}", args=args)

    def test_every_model_has_a_list_that_can_be_searched(self):
        for model in MODELS:
            assert model in admin.site._registry
            response = self.client.get(self.address(model, "changelist"), {"q": "mia"})
            assert response.status_code == 200, model

    def test_no_text_of_mail_is_shown_or_searched(self):
        listed = self.client.get(self.address(models.Email, "changelist"))
        self.assertNotContains(listed, "Confidential")
        found = self.client.get(self.address(models.Email, "changelist"), {"q": "Confidential"})
        self.assertContains(found, "0 emails")
        opened = self.client.get(self.address(models.Email, "change", self.email.pk))
        assert opened.status_code == 200
        self.assertNotContains(opened, "Confidential")

    def test_saving_an_email_there_keeps_its_text(self):
        url = self.address(models.Email, "change", self.email.pk)
        form = {
            "hidden_at_0": "",
            "hidden_at_1": "",
            "links-TOTAL_FORMS": "0",
            "links-INITIAL_FORMS": "0",
            "participants-TOTAL_FORMS": "0",
            "participants-INITIAL_FORMS": "0",
        }
        assert self.client.post(url, form).status_code == 302
        self.email.refresh_from_db()
        assert self.email.body_text == "Confidential"

    def test_what_only_the_sync_writes_is_read_only(self):
        for model in READ_ONLY:
            model_admin = admin.site._registry[model]
            request = self.client.get(self.address(model, "changelist")).wsgi_request
            assert not model_admin.has_add_permission(request)
            assert not model_admin.has_change_permission(request)
            assert not model_admin.has_delete_permission(request)

    def test_admins_only(self):
        self.sign_in(self.manager)
        assert self.client.get(self.address(models.Email, "changelist")).status_code == 302
