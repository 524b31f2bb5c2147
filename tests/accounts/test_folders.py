"""The folder names of the settings field, compared with the mailbox's own."""

import pytest

from accounts.folders import choose_folders, last_part, offered, split_names
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


# --- which are read ------------------------------------------------------------------------------
INBOX = Folder("1", "Posteingang", "inbox")
SENT = Folder("2", "Gesendete Elemente", "sent")
TRASH = Folder("3", "Trash", "trash")
COOL = Folder("4", "Inbox/CoolStuff", "")
FALSE_SENT = Folder("5", "Sent", "")
ALL = [INBOX, SENT, TRASH, COOL, FALSE_SENT]


def names_of(choice):
    return [folder.id for folder in choice.selected], [p.name for p in choice.problems]


def test_blank_means_inbox_and_sent_by_role_whatever_they_are_called():
    assert names_of(choose_folders(ALL, names=" ; ")) == (["1", "2"], [])


@pytest.mark.parametrize("name", ["CoolStuff", "coolstuff", " COOLSTUFF ", "Inbox/CoolStuff"])
def test_a_name_is_the_last_part_of_the_path_in_any_case(name):
    assert names_of(choose_folders(ALL, names=name)) == (["4"], [])


@pytest.mark.parametrize("name", ["Cool", "CoolStuff2", "Stuff", "Inbox/Cool*"])
def test_a_name_must_fit_exactly(name):
    assert names_of(choose_folders(ALL, names=name)) == ([], [name])


def test_when_some_are_named_inbox_and_sent_are_read_only_if_named_too():
    assert names_of(choose_folders(ALL, names="CoolStuff"))[0] == ["4"]
    assert names_of(choose_folders(ALL, names="CoolStuff;Inbox"))[0] == ["4", "1"]


def test_a_missing_folder_is_named_and_the_others_are_still_read():
    assert names_of(choose_folders(ALL, names="CoolStuff;Gone;Inbox")) == (["4", "1"], ["Gone"])


def test_an_exact_name_comes_before_the_word_sent():
    assert names_of(choose_folders(ALL, names="sent"))[0] == ["5"]
    assert names_of(choose_folders([INBOX, SENT], names="SENT"))[0] == ["2"]


def test_a_mailbox_without_a_sent_role_says_so_until_the_user_names_the_folder():
    folders = [INBOX, FALSE_SENT, COOL]
    assert names_of(choose_folders(folders, names="")) == (["1"], ["Sent"])
    assert names_of(choose_folders(folders, names="", sent_name="coolstuff")) == (["1", "4"], [])


def test_drafts_trash_and_junk_are_never_read_even_if_named():
    choice = choose_folders(ALL, names="Trash;Inbox")
    assert names_of(choice) == (["1"], ["Trash"])
    assert "never synced" in choice.problems[0].cause


def test_two_folders_of_one_name_are_both_read_and_one_named_twice_once():
    twice = Folder("6", "Archive\\CoolStuff", "")
    assert names_of(choose_folders([*ALL, twice], names="CoolStuff;coolstuff"))[0] == ["4", "6"]
