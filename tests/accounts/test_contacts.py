"""The page of a contact; creating, changing and deleting one."""

from datetime import UTC, datetime

from accounts.models import Contact, MyContact
from email_sync.models import Email, EmailContact
from tests.accounts.cast import CastTestCase, one_section


class ContactPageTests(CastTestCase):
    @property
    def url(self) -> str:
        return f"/contacts/{self.julia.pk}/"

    def test_it_shows_the_contact(self):
        response = self.client.get(self.url)
        for text in ("Julia Ruiz", "Harbor Foods", "j.ruiz@harbor.example"):
            self.assertContains(response, text)

    def test_it_fetches_the_sections_of_other_rooms_from_their_addresses(self):
        with one_section():
            response = self.client.get(self.url)
        self.assertContains(response, f'hx-get="/contacts/{self.julia.pk}/"')

    def test_it_shows_since_when_they_are_a_my_contact(self):
        MyContact.objects.flag(self.rep, [self.julia])
        MyContact.objects.update(since=datetime(2026, 11, 12, 9, 14, tzinfo=UTC))
        self.assertContains(self.client.get(self.url), ">12 Nov 2026</time>")

    def test_a_flag_of_somebody_else_does_not_show(self):
        MyContact.objects.flag(self.teammate, [self.julia])
        assert self.client.get(self.url).context["since"] is None

    def test_a_contact_that_is_not_there(self):
        assert self.client.get("/contacts/999999/").status_code == 404

    def test_it_rejects_a_post(self):
        assert self.client.post(self.url).status_code == 405

    def test_anonymous_must_sign_in(self):
        self.assert_anonymous_must_sign_in(self.url)


class ContactFormTests(CastTestCase):
    fields = {"first_name": "Ana", "last_name": "Sato", "phone": ""}

    @property
    def new(self) -> str:
        return f"/customers/{self.customer.pk}/contacts/new/"

    def test_it_adds_a_contact_and_normalises_the_addresses(self):
        typed = " Ana Sato <ANA@Lumen.Example>\nana@lumen.example; a.sato@private.example"
        response = self.client.post(self.new, self.fields | {"addresses": typed})
        self.assertRedirects(response, f"/customers/{self.customer.pk}/")
        ana = Contact.objects.get(first_name="Ana")
        assert ana.customer == self.customer
        assert [row.address for row in ana.addresses.all()] == [
            "ana@lumen.example",
            "a.sato@private.example",
        ]

    def test_what_is_no_address_is_named_and_nothing_is_saved(self):
        response = self.client.post(self.new, self.fields | {"addresses": "ana@lumen.example\nana"})
        self.assertContains(response, "“ana” is not an email address.")
        assert not Contact.objects.filter(first_name="Ana").exists()

    def test_a_contact_has_a_name_and_an_address(self):
        response = self.client.post(self.new, {"first_name": " ", "last_name": "", "addresses": ""})
        self.assertContains(response, "Enter a first name or a last name.")
        self.assertContains(response, "This field is required.")

    def test_it_changes_a_contact_and_keeps_the_flags(self):
        MyContact.objects.flag(self.teammate, [self.julia])
        url = f"/contacts/{self.julia.pk}/edit/"
        self.assertContains(self.client.get(url), "j.ruiz@harbor.example")
        fields = {
            "first_name": "Julia",
            "last_name": "Ruiz-Diaz",
            "addresses": "jrd@harbor.example",
        }
        self.assertRedirects(self.client.post(url, fields), f"/contacts/{self.julia.pk}/")
        self.julia.refresh_from_db()
        assert self.julia.last_name == "Ruiz-Diaz"
        assert [a.address for a in self.julia.addresses.all()] == ["jrd@harbor.example"]
        assert self.julia.flags.filter(user=self.teammate).exists()

    def test_a_customer_that_is_not_there(self):
        assert self.client.get("/customers/999999/contacts/new/").status_code == 404

    def test_it_rejects_other_methods(self):
        assert self.client.delete(self.new).status_code == 405


class ContactDeleteTests(CastTestCase):
    @property
    def url(self) -> str:
        return f"/contacts/{self.julia.pk}/delete/"

    def link_an_email(self) -> None:
        email = Email.objects.create(
            user=self.rep,
            message_key="k",
            thread_key="t",
            direction="sent",
            sent_at=datetime(2026, 11, 1, tzinfo=UTC),
        )
        EmailContact.objects.create(email=email, contact=self.julia)

    def test_it_asks_first_and_then_deletes(self):
        self.assertContains(self.client.get(self.url), "cannot be undone")
        self.assertRedirects(self.client.post(self.url), f"/customers/{self.customer.pk}/")
        assert not Contact.objects.filter(pk=self.julia.pk).exists()

    def test_a_contact_with_emails_stays(self):
        self.link_an_email()
        self.assertContains(self.client.get(self.url), "cannot be deleted")
        self.assertContains(self.client.post(self.url), "cannot be deleted")
        assert Contact.objects.filter(pk=self.julia.pk).exists()

    def test_it_rejects_other_methods(self):
        assert self.client.delete(self.url).status_code == 405
