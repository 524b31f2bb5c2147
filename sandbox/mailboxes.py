"""One mailbox as it stands now: the generated messages and, over them, what happened.

Deliveries and changes live in dictionaries per mailbox; a mailbox nobody touched owns nothing.
Messages are ordered newest first by the key (-date, uid); the uid of a delivered message lies above
all generated ones. Cursors are keys, so a delivery between two pages moves nothing.
"""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

import msgspec

from sandbox.hashing import mix_of
from sandbox.layout import BLOCK, ROLES, ascending_from
from sandbox.world import UNREAD_REACH, Mail, Persona, World

Key = tuple[int, int]  # (-date, uid)
DELIVERED = 1 << 31  # uids of delivered messages begin here


class Folder(msgspec.Struct):
    id: str
    name: str
    role: str | None = None  # None for a folder the user made later
    attribute: str | None = None
    is_system: bool = False
    parent_id: str | None = None


class Change(msgspec.Struct):
    """What happened to a generated message. None means: as generated."""

    folders: tuple[str, ...] | None = None
    unread: bool | None = None
    starred: bool | None = None
    metadata: dict[str, str] | None = None
    is_gone: bool = False
    version: int = 0


# role, name, attribute, is a system folder, parent role
_GOOGLE_FOLDERS = (
    ("inbox", "INBOX", "\\Inbox", True, None, "INBOX"),
    ("sent", "SENT", "\\Sent", True, None, "SENT"),
    ("drafts", "DRAFT", "\\Drafts", True, None, "DRAFT"),
    ("trash", "TRASH", "\\Trash", True, None, "TRASH"),
    ("junk", "SPAM", "\\Junk", True, None, "SPAM"),
    ("important", "IMPORTANT", "\\Important", True, None, "IMPORTANT"),
    ("promotions", "CATEGORY_PROMOTIONS", None, True, None, "CATEGORY_PROMOTIONS"),
    ("clients", "Clients", None, False, None, "Label_1"),
    ("harbor", "Clients/Harbor", None, False, None, "Label_2"),
    ("archive", "Archive", None, False, None, "Label_3"),
    ("newsletters", "Newsletters", None, False, None, "Label_4"),
)
_MICROSOFT_FOLDERS = (
    ("inbox", "Inbox", "\\Inbox", True, None, ""),
    ("sent", "Sent Items", "\\Sent", True, None, ""),
    ("drafts", "Drafts", "\\Drafts", True, None, ""),
    ("trash", "Deleted Items", "\\Trash", True, None, ""),
    ("junk", "Junk Email", "\\Junk", True, None, ""),
    ("archive", "Archive", "\\Archive", True, None, ""),
    ("outbox", "Outbox", None, True, None, ""),
    ("clients", "Clients", None, False, None, ""),
    ("harbor", "Harbor", None, False, "clients", ""),
    ("newsletters", "Newsletters", None, False, None, ""),
)


def opaque(prefix: str, first: int, second: int) -> str:
    """An ID in the manner of Microsoft: a constant beginning and base64, padding included."""
    return prefix + base64.urlsafe_b64encode((first << 64 | second).to_bytes(16, "big")).decode()


class Mailbox:
    def __init__(self, world: World, index: int) -> None:
        self.world = world
        self.index = index
        self.persona: Persona = world.persona(index)
        self.provider = self.persona.provider
        self.is_google = self.provider == "google"
        self.delivered: dict[int, Mail] = {}
        self.changes: dict[int, Change] = {}
        self.next_uid = DELIVERED
        self.folders: dict[str, Folder] = {}
        self._id_of_role: dict[str, str] = {}
        self._threads: dict[int, list[int]] = {}
        self._uids_by_message_id: dict[str, list[int]] = {}
        self._overlays: dict[str | None, list[Key]] = {}
        self._ids_of_roles: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._make_folders()

    # --- folders ------------------------------------------------------------------------------

    def _make_folders(self) -> None:
        table = _GOOGLE_FOLDERS if self.is_google else _MICROSOFT_FOLDERS
        for n, (role, name, attribute, is_system, parent, label) in enumerate(table):
            folder_id = label or opaque("AAMkAF", mix_of(self.world.seed, 51, self.index, n), n)
            parent_id = self._id_of_role.get(parent) if parent else None
            self._id_of_role[role] = folder_id
            self.folders[folder_id] = Folder(folder_id, name, role, attribute, is_system, parent_id)

    def folder_of_role(self, role: str) -> str | None:
        folder_id = self._id_of_role.get(role)
        return folder_id if folder_id in self.folders else None

    def find_folder(self, wanted: str) -> Folder | None:
        """By ID, by role ("inbox") or by name, in this order: for the switches and tests."""
        by_role = self.folders.get(self._id_of_role.get(wanted.casefold(), ""))
        if found := self.folders.get(wanted) or by_role:
            return found
        for folder in self.folders.values():
            if folder.name.casefold() == wanted.casefold():
                return folder
        return None

    def count(self, folder: Folder) -> tuple[int, int]:
        """(messages, unread messages) in a folder."""
        total = 0
        if folder.role is not None:
            blocks, rest = divmod(self.world.messages, BLOCK)
            total = blocks * self.world.layouts.per_block(self.provider, folder.role)
            places = self.world.layout(self.index, blocks).places(self.provider, folder.role)
            total += bisect_left(places, rest)
            total -= sum(
                1
                for i, change in self.changes.items()
                if (change.is_gone or change.folders is not None)
                and folder.id in self._generated(i).folders
            )
        total += len(self._overlay(folder.id))
        recent = self.walk(folder.id, first=None, recent_only=True)
        return total, sum(mail.unread for mail in recent)

    # --- IDs ----------------------------------------------------------------------------------

    def id_of(self, uid: int, version: int = 0) -> str:
        number = self.world.encode("message", self.index, uid, version)
        return f"{number:016x}" if self.is_google else opaque("AAMkAG", number, self.index)

    def thread_id_of(self, thread: int) -> str:
        number = self.world.encode("thread", self.index, thread)
        return f"{number:016x}" if self.is_google else opaque("AAQkAG", number, self.index)

    def _decode(self, salt: str, prefix: str, text: str) -> tuple[int, int] | None:
        """(number, version), or None for an ID that cannot be one of this mailbox."""
        try:
            if self.is_google:
                if len(text) != 16:
                    return None
                value = int(text, 16)
            else:
                if not text.startswith(prefix):
                    return None
                value = int.from_bytes(base64.urlsafe_b64decode(text[len(prefix) :])[:8], "big")
        except (ValueError, binascii.Error):
            return None
        index, number, version = self.world.decode(salt, value)
        return (number, version) if index == self.index else None

    def find(self, message_id: str) -> Mail | None:
        """The message with this API ID; at Microsoft an ID from before a move finds nothing."""
        decoded = self._decode("message", "AAMkAG", message_id)
        if decoded is None:
            return None
        mail = self.mail(decoded[0])
        return mail if mail is not None and mail.version == decoded[1] else None

    def find_thread(self, thread_id: str) -> int | None:
        decoded = self._decode("thread", "AAQkAG", thread_id)
        return decoded[0] if decoded and self.members(decoded[0]) else None

    # --- reading ------------------------------------------------------------------------------

    def _generated(self, i: int) -> Mail:
        mail = self.world.mail(self.index, i)
        roles = mail.folders
        ids = self._ids_of_roles.get(roles)
        if ids is None:
            ids = tuple(f for f in (self.folder_of_role(role) for role in roles) if f)
            self._ids_of_roles[roles] = ids
        mail.folders = ids
        return mail

    def mail(self, uid: int) -> Mail | None:
        if uid >= DELIVERED:
            return self.delivered.get(uid)
        if uid >= self.world.messages:
            return None
        change = self.changes.get(uid)
        if change is None:
            return self._generated(uid)
        if change.is_gone:
            return None
        mail = self._generated(uid)
        if change.folders is not None:
            mail.folders = change.folders
        if change.unread is not None:
            mail.unread = change.unread
        if change.starred is not None:
            mail.starred = change.starred
        mail.metadata = change.metadata
        mail.version = change.version
        return mail

    def members(self, thread: int) -> list[Mail]:
        """The messages of a thread, newest first."""
        uids = list(self._threads.get(thread, ()))
        if thread < DELIVERED and thread >> 7 <= self.world.messages // BLOCK:
            uids += self.world.thread_members(self.index, thread)
        found = [mail for uid in uids if (mail := self.mail(uid))]
        return sorted(found, key=lambda mail: (-mail.date, mail.uid))

    def find_by_message_id(self, message_id: str) -> Mail | None:
        i = self.world.find_by_message_id(self.index, message_id)
        uids = ([] if i is None else [i]) + self._uids_by_message_id.get(message_id, [])
        return next((mail for uid in uids if (mail := self.mail(uid))), None)

    def _overlay(self, folder_id: str | None) -> list[Key]:
        """The keys of delivered messages, and of generated ones moved into this folder, sorted."""
        if folder_id not in self._overlays:
            keys = [
                (-mail.date, uid)
                for uid, mail in self.delivered.items()
                if folder_id is None or folder_id in mail.folders
            ]
            if folder_id is not None:
                keys += [
                    (-self.world.date(self.index, i), i)
                    for i, change in self.changes.items()
                    if not change.is_gone and change.folders and folder_id in change.folders
                ]
            self._overlays[folder_id] = sorted(keys)
        return self._overlays[folder_id]

    def _indices(self, folder_id: str | None, first: int) -> Iterator[int]:
        """The i of the generated messages of a folder from `first` on, as generated."""
        if folder_id is None:
            yield from range(first, self.world.messages)
            return
        folder = self.folders.get(folder_id)
        role = folder.role if folder else None
        if role is None or all(role not in roles for roles in ROLES[self.provider].values()):
            return
        block, place = divmod(first, BLOCK)
        while block * BLOCK < self.world.messages:
            places = self.world.layout(self.index, block).places(self.provider, role)
            for at in ascending_from(places, place):
                if block * BLOCK + at >= self.world.messages:
                    return
                yield block * BLOCK + at
            block, place = block + 1, 0

    def walk(
        self,
        folder_id: str | None = None,
        *,
        first: Key | None = None,
        before: int | None = None,
        after: int | None = None,
        recent_only: bool = False,
    ) -> Iterator[Mail]:
        """The messages of a folder (or all), newest first, from behind the key `first` on.

        `before` and `after` bound the date, both excluded.
        """
        start = 0
        at = 0
        overlay = self._overlay(folder_id)
        if first is not None:
            at = bisect_right(overlay, first)
            uid = first[1]
            # A generated message sorts before a delivered one of the same second.
            start = uid + 1 if uid < DELIVERED else self._first_older(-first[0])
        if before is not None:
            start = max(start, self._first_older(before))
            at = max(at, bisect_left(overlay, (-before + 1, -1)))
        for i in self._indices(folder_id, start):
            if recent_only and i >= UNREAD_REACH:
                break
            change = self.changes.get(i)
            if change is not None and (
                change.is_gone or (folder_id is not None and change.folders is not None)
            ):
                continue
            mail = self._generated(i) if change is None else self.mail(i)
            assert mail is not None
            while at < len(overlay) and overlay[at] < (-mail.date, i):
                older = self.mail(overlay[at][1])
                at += 1
                if older is not None:
                    if after is not None and older.date <= after:
                        return
                    yield older
            if after is not None and mail.date <= after:
                break
            yield mail
        for _, uid in overlay[at:]:
            rest = self.mail(uid)
            if rest is None:
                continue
            if after is not None and rest.date <= after:
                return
            yield rest

    def _first_older(self, moment: int) -> int:
        return self.world.first_not_newer(self.index, moment - 1)

    # --- what happens: called only when a recorded operation is applied ------------------------

    def put(self, mail: Mail) -> None:
        """Add a delivered message, or replace it (a draft that was edited)."""
        self.remove(mail.uid)
        self.delivered[mail.uid] = mail
        self.next_uid = max(self.next_uid, mail.uid + 1)
        self._threads.setdefault(mail.thread, []).append(mail.uid)
        if mail.message_id:
            self._uids_by_message_id.setdefault(mail.message_id, []).append(mail.uid)
        self._overlays.clear()

    def change(
        self,
        uid: int,
        *,
        folders: tuple[str, ...] | None = None,
        unread: bool | None = None,
        starred: bool | None = None,
        metadata: dict[str, str] | None = None,
    ) -> None:
        mail = self.mail(uid)
        if mail is None:
            return
        # Microsoft gives a message that was moved a new ID.
        moved = folders is not None and not self.is_google and folders != mail.folders
        version = (mail.version + 1 & 0xFFF) if moved else mail.version
        target: Mail | Change = mail
        if uid < DELIVERED:
            target = self.changes.setdefault(uid, Change())
        target.version = version
        if folders is not None:
            target.folders = folders
        if unread is not None:
            target.unread = unread
        if starred is not None:
            target.starred = starred
        if metadata is not None:
            target.metadata = metadata
        self._overlays.clear()

    def remove(self, uid: int) -> None:
        if uid < DELIVERED:
            self.changes.setdefault(uid, Change()).is_gone = True
        elif mail := self.delivered.pop(uid, None):
            self._threads[mail.thread].remove(uid)
            if mail.message_id:
                self._uids_by_message_id[mail.message_id].remove(uid)
        self._overlays.clear()

    def put_folder(self, folder: Folder) -> None:
        self.folders[folder.id] = folder
        self._ids_of_roles.clear()

    def remove_folder(self, folder_id: str) -> None:
        self.folders.pop(folder_id, None)
        self._ids_of_roles.clear()
        self._overlays.clear()
