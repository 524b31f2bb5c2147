"""The folder names of the settings field, compared with the mailbox's own: pure functions."""

from collections.abc import Iterable

from crm_sync.providers.types import Folder

_NEVER_SYNCED = {"drafts", "trash", "junk"}
_BY_ROLE = {"inbox", "sent"}


def split_names(text: str) -> list[str]:
    """The names in the field: separated by “;”, each once, in any case."""
    names: dict[str, str] = {}
    for name in filter(None, (part.strip() for part in text.split(";"))):
        names.setdefault(name.casefold(), name)
    return list(names.values())


def last_part(name: str) -> str:
    """The last part of a folder's path, as users enter it: “Inbox/CoolStuff” → “CoolStuff”."""
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2].strip()


def offered(folders: Iterable[Folder]) -> list[Folder]:
    """The folders that can be synced: Inbox and Sent first, then by name."""
    order = {"inbox": 0, "sent": 1}
    synced = [folder for folder in folders if folder.role not in _NEVER_SYNCED]
    return sorted(synced, key=lambda folder: (order.get(folder.role, 2), folder.name.casefold()))


def missing(names: Iterable[str], folders: Iterable[Folder]) -> list[str]:
    """The names that fit none of the folders that can be synced."""
    known = set()
    for folder in offered(folders):
        known.add(last_part(folder.name).casefold())
        if folder.role in _BY_ROLE:
            known.add(str(folder.role))
    return [name for name in names if last_part(name).casefold() not in known]
