"""Which folders are read: the names of the settings field against the mailbox's own.

Pure functions, for the sync and for the settings page alike. The rules are the seeds' (001, “Email
Folders(s)”): the last part of the path only, in any case, otherwise exactly.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from accounts.rules import Problem
from crm_sync.providers.types import Folder

NEVER_SYNCED = frozenset({"drafts", "trash", "junk"})


class FolderChoice(Struct, frozen=True):
    selected: tuple[Folder, ...]
    problems: tuple[Problem, ...]


def split_names(text: str) -> list[str]:
    """The names in the field: separated by “;”, each once, in any case."""
    names: dict[str, str] = {}
    for name in filter(None, (part.strip() for part in text.split(";"))):
        names.setdefault(name.casefold(), name)
    return list(names.values())


def last_part(name: str) -> str:
    """The last part of a folder's path, as users enter it: “Inbox/CoolStuff” → “CoolStuff”."""
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2].strip()


def _folded(name: str) -> str:
    return last_part(name).casefold()


def offered(folders: Iterable[Folder]) -> list[Folder]:
    """The folders that can be synced: Inbox and Sent first, then by name."""
    order = {"inbox": 0, "sent": 1}
    synced = [folder for folder in folders if folder.role not in NEVER_SYNCED]
    return sorted(synced, key=lambda folder: (order.get(folder.role, 2), folder.name.casefold()))


def choose_folders(folders: Sequence[Folder], *, names: str, sent_name: str = "") -> FolderChoice:
    """The folders to read: those named, or Inbox and Sent by role where none is.

    `sent_name` is the folder that the user says is Sent. A name that no folder has is a problem
    of its own and does not keep the others from being read.
    """
    selected: dict[str, Folder] = {}
    problems = []
    for name in split_names(names) or ["Inbox", "Sent"]:
        found = _find(folders, name, sent_name=sent_name, by_role_first=not split_names(names))
        readable = [folder for folder in found if folder.role not in NEVER_SYNCED]
        if not found:
            problems.append(Problem(name=name, cause=_missing(name, is_named=bool(names.strip()))))
        elif not readable:
            problems.append(Problem(name=name, cause="Drafts, Trash and Junk are never synced."))
        selected.update({folder.id: folder for folder in readable})
    return FolderChoice(selected=tuple(selected.values()), problems=tuple(problems))


def _find(
    folders: Sequence[Folder], name: str, *, sent_name: str, by_role_first: bool
) -> list[Folder]:
    """Folders by name; by role for the words “inbox” and “sent”, which every user knows them by."""
    wanted = _folded(name)
    if wanted == "sent" and sent_name.strip():
        return [folder for folder in folders if _folded(folder.name) == _folded(sent_name)]
    by_name = [folder for folder in folders if _folded(folder.name) == wanted]
    by_role = [
        folder for folder in folders if wanted in {"inbox", "sent"} and folder.role == wanted
    ]
    return by_role if by_role_first else by_name or by_role


def _missing(name: str, *, is_named: bool) -> str:
    if is_named:
        return f"The mailbox has no folder named “{name}”."
    return f"The provider marks no folder of this mailbox as {name}."
