"""The folder names of the settings field, compared with the mailbox's own."""

import pytest

from accounts.folders import last_part, missing, offered, split_names
from crm_sync.providers.types import Folder

FOLDERS = [
    Folder("1", "Zebra"),
    Folder("2", "Sent Items", "sent"),
    Folder("3", "Posteingang", "inbox"),
    Folder("4", "Inbox/CoolStuff"),
    Folder("5", "Junk", "junk"),
]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", []),
        (" ; ;", []),
        ("CoolStuff;NotAsCoolStuff; Awesome ", ["CoolStuff", "NotAsCoolStuff", "Awesome"]),
        ("Inbox; inbox; INBOX", ["Inbox"]),
    ],
)
def test_names_are_split(text, names):
    assert split_names(text) == names


@pytest.mark.parametrize(
    ("name", "last"),
    [("Inbox\\CoolStuff", "CoolStuff"), ("a/b/c/", "c"), ("Inbox", "Inbox"), ("", "")],
)
def test_the_last_part_counts(name, last):
    assert last_part(name) == last


def test_inbox_and_sent_come_first_and_junk_never():
    assert [folder.id for folder in offered(FOLDERS)] == ["3", "2", "4", "1"]


def test_a_name_fits_by_last_part_case_and_role():
    names = ["coolstuff", "Inbox\\CoolStuff", "INBOX", "sent", "sent items", "ZEBRA"]
    assert missing(names, FOLDERS) == []


def test_what_is_not_there_or_never_synced_is_missing():
    assert missing(["Cool", "Junk", "Posteingan"], FOLDERS) == ["Cool", "Junk", "Posteingan"]
