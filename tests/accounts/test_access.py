"""Who may open what."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.http import Http404, HttpResponse
from django.test import RequestFactory

from accounts import access
from accounts.models import User
from tests.accounts.cast import CastTestCase
from tests.factories import MailboxFactory


class AccessTests(CastTestCase):
    def request(self, user: User):
        request = RequestFactory().get("/")
        request.user = user
        return request

    def opens(self, view, user: User) -> bool:
        try:
            return view(self.request(user)).status_code == 200
        except Http404:
            return False

    def test_roles(self):
        people = (self.rep, self.manager, self.admin)
        for decorate, expected in (
            (access.admin_required, [False, False, True]),
            (access.manager_required, [False, True, True]),
        ):
            view = decorate(lambda request: HttpResponse())
            assert [self.opens(view, user) for user in people] == expected

    def test_whose_mail_somebody_may_read(self):
        expected = {
            self.rep: {self.rep},
            self.manager: {self.manager, self.rep, self.teammate},
            self.admin: set(User.objects.all()),
        }
        for viewer, readable in expected.items():
            found = set()
            for user in User.objects.all():
                try:
                    found.add(access.get_readable_user(self.request(viewer), user.pk))
                except Http404:
                    continue
            assert found == readable, viewer.username

    def test_a_former_rep_of_a_manager_is_no_longer_readable(self):
        self.rep.manager = None
        self.rep.save()
        with pytest.raises(Http404):
            access.get_readable_user(self.request(self.manager), self.rep.pk)

    def test_a_new_mailbox_is_not_stored_by_looking(self):
        assert access.get_mailbox(self.rep).pk is None


class AdminSiteTests(CastTestCase):
    def test_every_list_and_search_of_this_app_opens_for_admins(self):
        self.sign_in(self.admin)
        models = [model for model in admin.site._registry if model._meta.app_label == "accounts"]
        assert set(models) == set(apps.get_app_config("accounts").get_models())
        for model in models:
            url = f"/admin/accounts/{model._meta.model_name}/"
            assert self.client.get(f"{url}?q=mia").status_code == 200, url

    def test_a_grant_is_never_shown(self):
        mailbox = MailboxFactory.create(user=self.rep, grant_id="grant-secret")
        self.sign_in(self.admin)
        response = self.client.get(f"/admin/accounts/mailbox/{mailbox.pk}/change/")
        self.assertNotContains(response, "grant-secret")

    def test_reps_are_turned_away(self):
        response = self.client.get("/admin/accounts/user/")
        assert response.status_code == 302
