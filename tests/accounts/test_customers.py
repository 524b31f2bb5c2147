"""The list of customers and the page of one."""

from accounts.models import Customer, MyContact
from tests.accounts.cast import HTMX, CastTestCase, one_section
from tests.factories import ContactFactory, CustomerFactory


class CustomerListTests(CastTestCase):
    url = "/customers/"

    def names(self, query: str = "") -> list[str]:
        response = self.client.get(f"{self.url}?{query}")
        return [customer.name for customer in response.context["page"]]

    def test_it_lists_customers_with_their_contacts_counted(self):
        MyContact.objects.flag(self.rep, [self.julia])
        MyContact.objects.flag(self.teammate, [self.kim])
        [row] = self.client.get(self.url).context["page"]
        assert (row.contact_count, row.my_contact_count) == (2, 1)

    def test_it_searches_number_name_contact_and_address(self):
        CustomerFactory.create(name="Lumen")
        for words in ("C7", "harbor", "ruiz", "J.RUIZ@harbor.example", "foods julia"):
            assert self.names(f"q={words}") == ["Harbor Foods"], words

    def test_it_filters_by_status(self):
        CustomerFactory.create(name="Lumen", status=Customer.Status.PROSPECT)
        assert self.names("status=prospect") == ["Lumen"]

    def test_it_filters_by_my_contacts(self):
        CustomerFactory.create(name="Lumen")
        MyContact.objects.flag(self.rep, [self.julia])
        assert self.names("mine=on") == ["Harbor Foods"]

    def test_it_sorts_both_ways(self):
        CustomerFactory.create(name="Lumen", number="A1")
        assert self.names("sort=number") == ["Lumen", "Harbor Foods"]
        assert self.names("sort=-number") == ["Harbor Foods", "Lumen"]

    def test_nonsense_in_the_address_filters_nothing(self):
        assert self.names("sort=password&status=none&page=x") == ["Harbor Foods"]

    def test_it_has_pages_and_the_links_keep_the_filters(self):
        CustomerFactory.create_batch(60, name="Lumen")
        response = self.client.get(f"{self.url}?q=lumen&page=2")
        assert len(response.context["page"].object_list) == 10
        self.assertContains(response, "?q=lumen&amp;page=1")

    def test_what_is_empty_says_why_and_what_to_do(self):
        self.assertContains(self.client.get(f"{self.url}?q=nobody"), "Show all customers")
        Customer.objects.all().delete()
        self.assertContains(self.client.get(self.url), "No customers yet")

    def test_its_queries_do_not_grow_with_the_list(self):
        CustomerFactory.create_batch(45, account_manager=self.teammate)
        # session, user, count, customers
        with self.assertNumQueries(4):
            self.client.get(self.url)

    def test_it_rejects_a_post(self):
        assert self.client.post(self.url).status_code == 405

    def test_anonymous_must_sign_in(self):
        self.assert_anonymous_must_sign_in(self.url)


class CustomerPageTests(CastTestCase):
    @property
    def url(self) -> str:
        return f"/customers/{self.customer.pk}/"

    def test_it_shows_the_customer_and_its_contacts(self):
        MyContact.objects.flag(self.rep, [self.julia])
        response = self.client.get(self.url)
        for text in ("Harbor Foods", "C7", "Mia Berg", "Julia Ruiz", "j.ruiz@harbor.example"):
            self.assertContains(response, text)
        since = {
            contact.first_name: contact.flagged_since for contact in response.context["contacts"]
        }
        assert since["Julia"] is not None
        assert since["Kim"] is None

    def test_it_fetches_the_sections_of_other_rooms_from_their_addresses(self):
        with one_section():
            response = self.client.get(self.url)
        self.assertContains(response, f'hx-get="/customers/{self.customer.pk}/"')

    def test_no_contacts_says_what_to_do(self):
        self.customer.contacts.all().delete()
        self.assertContains(self.client.get(self.url), "No contacts yet")

    def test_its_queries_do_not_grow_with_the_contacts(self):
        ContactFactory.create_batch(30, customer=self.customer, my_contact_of=[self.rep])
        # session, user, customer, closed shutters, contacts counted, contacts, addresses
        with one_section(), self.assertNumQueries(7):
            self.client.get(self.url)

    def test_a_customer_that_is_not_there(self):
        assert self.client.get("/customers/999999/").status_code == 404

    def test_it_rejects_a_post(self):
        assert self.client.post(self.url).status_code == 405


class CustomerFormTests(CastTestCase):
    fields = {"name": "Lumen", "number": "C8", "status": "prospect", "address": "", "division": ""}

    def test_it_creates_a_customer(self):
        response = self.client.post("/customers/new/", self.fields)
        customer = Customer.objects.get(number="C8")
        self.assertRedirects(response, f"/customers/{customer.pk}/")

    def test_it_changes_a_customer(self):
        url = f"/customers/{self.customer.pk}/edit/"
        self.client.post(url, self.fields | {"number": "C7", "division": "North"})
        self.customer.refresh_from_db()
        assert (self.customer.name, self.customer.division) == ("Lumen", "North")

    def test_a_number_is_used_once(self):
        response = self.client.post("/customers/new/", self.fields | {"number": "C7"})
        self.assertContains(response, "already exists")
        assert Customer.objects.count() == 1

    def test_the_same_address_is_a_dialog_for_htmx(self):
        self.assertNotContains(self.client.get("/customers/new/", headers=HTMX), "<html")
        self.assertContains(self.client.get("/customers/new/"), "<html")

    def test_a_dialog_moves_the_page_when_it_is_done(self):
        response = self.client.post("/customers/new/", self.fields, headers=HTMX)
        customer = Customer.objects.get(number="C8")
        assert response["HX-Redirect"] == f"/customers/{customer.pk}/"

    def test_it_rejects_other_methods(self):
        assert self.client.delete("/customers/new/").status_code == 405
