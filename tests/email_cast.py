"""The people of tests about mail: the rep's own manager, and one who has other reps."""

from django.http import HttpResponse

from accounts.models import User
from tests.accounts.cast import CastTestCase
from tests.factories import UserFactory


class EmailCastTestCase(CastTestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        super().setUpTestData()
        cls.other_manager = UserFactory(username="otto", role=User.Role.MANAGER)

    def status_for(self, user: User, url: str) -> int:
        self.sign_in(user)
        return self.client.get(url).status_code

    def statuses(self, url: str) -> dict[str, int]:
        """What each of the cast gets at an address."""
        everybody = {
            "rep": self.rep,
            "teammate": self.teammate,
            "stranger": self.stranger,
            "manager": self.manager,
            "other manager": self.other_manager,
            "admin": self.admin,
        }
        return {name: self.status_for(user, url) for name, user in everybody.items()}

    def assert_only(self, allowed: set[str], url: str) -> None:
        """Those of the cast get the page, all others 404."""
        found = self.statuses(url)
        assert {name for name, status in found.items() if status == 200} == allowed
        assert set(found.values()) - {200, 404} == set()

    def text_of(self, response: HttpResponse) -> str:
        """The answer's text with blanks folded."""
        return " ".join(response.content.decode().split())
