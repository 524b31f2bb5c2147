"""The search at the top."""

from tests.accounts.cast import HTMX, CastTestCase
from tests.factories import ContactFactory, CustomerFactory


class SearchTests(CastTestCase):
    def test_it_finds_customers_and_contacts(self):
        response = self.client.get("/search/?q=harbor")
        assert list(response.context["customers"]) == [self.customer]
        assert list(response.context["contacts"]) == [self.julia]

    def test_every_word_counts(self):
        assert list(self.client.get("/search/?q=julia ruiz").context["contacts"]) == [self.julia]
        assert not self.client.get("/search/?q=julia lee").context["contacts"]

    def test_while_typing_it_answers_with_a_piece(self):
        response = self.client.get("/search/?q=ruiz", headers=HTMX)
        self.assertContains(response, "Julia Ruiz")
        self.assertNotContains(response, "<html")

    def test_nothing_found_and_nothing_asked_are_explained(self):
        self.assertContains(self.client.get("/search/?q=zzz"), "Nothing found")
        self.assertContains(self.client.get("/search/"), "What are you looking for?")
        assert self.client.get("/search/?q=", headers=HTMX).content.strip() == b""

    def test_its_queries_do_not_grow(self):
        for number in range(20):
            ContactFactory.create(customer=CustomerFactory.create(), last_name=f"Ruiz {number}")
        # session, user, customers, contacts, addresses
        with self.assertNumQueries(5):
            self.client.get("/search/?q=ruiz")

    def test_it_rejects_a_post(self):
        assert self.client.post("/search/").status_code == 405

    def test_anonymous_must_sign_in(self):
        self.assert_anonymous_must_sign_in("/search/?q=ruiz".partition("?")[0])
