"""The audit list says who did what, also when they are gone, and nobody can change it."""

import pytest

from accounts import audit
from accounts.audit import Action
from accounts.models import AuditEntry, User


@pytest.fixture
def people(db):
    mia = User.objects.create(username="mia", first_name="Mia", last_name="Berg")
    ada = User.objects.create(username="ada", first_name="Ada", last_name="Boss", role="admin")
    return mia, ada


def test_who_did_what_about_whom(people):
    mia, ada = people
    audit.record(Action.OPENED_EMAIL, actor=ada, owner=mia, about="email 12")
    entry = AuditEntry.objects.get()
    assert (entry.actor_name, entry.owner_name, entry.about) == ("Ada Boss", "Mia Berg", "email 12")


def test_looking_at_what_is_ones_own_is_not_recorded(people):
    mia, _ = people
    audit.record(Action.OPENED_EMAIL, actor=mia, owner=mia, about="email 12")
    audit.record(Action.OPENED_HISTORY, actor=mia, owner=mia, about="history")
    assert not AuditEntry.objects.exists()
    audit.record(Action.DELETED_EMAIL, actor=mia, owner=mia, about="email 12")
    assert AuditEntry.objects.count() == 1


def test_the_command_line_has_a_name(db):
    audit.record(Action.EXPORTED, actor=None, about="the ledger")
    assert AuditEntry.objects.get().actor_name == "command line"


def test_entries_outlive_the_people_in_them(people):
    mia, ada = people
    audit.record(Action.OPENED_EMAIL, actor=ada, owner=mia, about="email 12")
    User.objects.filter(pk=mia.pk).delete()
    ada.delete()
    assert AuditEntry.objects.get().actor_name == "Ada Boss"


def test_nothing_is_changed_or_deleted(people):
    _, ada = people
    audit.record(Action.EXPORTED, actor=ada, about="the ledger")
    entry = AuditEntry.objects.get()
    entry.about = "nothing"
    for attempt in (
        entry.save,
        entry.delete,
        AuditEntry.objects.all().delete,
        lambda: AuditEntry.objects.update(about="nothing"),
    ):
        with pytest.raises(TypeError, match="append-only"):
            attempt()
    assert AuditEntry.objects.get().about == "the ledger"
