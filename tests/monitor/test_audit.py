"""The audit list shows who did what, to admins only, and costs the same on every page."""

import pytest

from accounts import audit
from accounts.audit import Action
from accounts.models import User
from monitor import audit_views

URL = "/integration/audit/"


@pytest.fixture
def ada(db) -> User:
    return User.objects.create(
        username="ada", first_name="Ada", last_name="Boss", role="admin", time_zone="Europe/Berlin"
    )


@pytest.fixture
def mia(db) -> User:
    return User.objects.create(username="mia", first_name="Mia", last_name="Berg")


def page(client, user, **query) -> str:
    client.force_login(user)
    return client.get(URL, query).content.decode()


def test_newest_first_with_who_and_whose(client, ada, mia):
    audit.record(Action.CHANGED_SETTING, actor=ada, about="interval: 10")
    audit.record(Action.OPENED_EMAIL, actor=ada, owner=mia, about="email 12")
    text = page(client, ada)
    assert text.index("email 12") < text.index("interval: 10")
    assert "Mia Berg" in text


def test_only_admins_see_it(client, ada, mia):
    client.force_login(mia)
    assert client.get(URL).status_code == 404


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ({"actor": "ada"}, True),
        ({"actor": "nobody"}, False),
        ({"owner": "berg"}, True),
        ({"owner": "boss"}, False),
        ({"action": "opened-email"}, True),
        ({"action": "exported"}, False),
        ({"since": "2999-01-01"}, False),
        ({"until": "1999-01-01"}, False),
        ({"since": "1999-01-01", "until": "2999-01-01"}, True),
        ({"since": "nonsense"}, True),
    ],
)
def test_filters(client, ada, mia, query, shown):
    audit.record(Action.OPENED_EMAIL, actor=ada, owner=mia, about="email 12")
    assert ("email 12" in page(client, ada, **query)) is shown


def test_pages_by_key(client, ada, monkeypatch):
    monkeypatch.setattr(audit_views, "ENTRIES_PER_PAGE", 2)
    for number in range(3):
        audit.record(Action.EXPORTED, actor=ada, about=f"export no {number}")
    first = page(client, ada)
    assert "export no 2" in first
    assert "export no 1" in first
    assert "export no 0" not in first
    before = first.partition("before=")[2].partition('"')[0]
    second = page(client, ada, before=before)
    assert "export no 0" in second
    assert "export no 1" not in second


def test_an_empty_list_says_what_it_will_show(client, ada):
    assert "Nothing was recorded yet" in page(client, ada)
    assert "Nothing fits these filters" in page(client, ada, actor="x")
