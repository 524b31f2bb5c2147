"""Everything that changes while the sandbox runs, and the log it can be rebuilt from.

Every change is one small operation, written to the log (if there is one) before it is applied.
Replaying the log in a new process gives the same world again, also after `kill -9`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, BinaryIO, Protocol

import msgspec

from sandbox import google_accounts
from sandbox.agenda import Agenda
from sandbox.mailboxes import Folder, Mailbox
from sandbox.world import DAY, Mail, World, stable_uuid

API_KEY = "sandbox-key"
CLIENT_ID = "sandbox-client"
SCOPES = {
    "google": [
        "openid",
        "https://www.googleapis.com/auth/userinfo.email",
        "https://www.googleapis.com/auth/userinfo.profile",
        "https://www.googleapis.com/auth/gmail.modify",
        "https://www.googleapis.com/auth/calendar",
    ],
    "microsoft": ["Mail.ReadWrite", "Mail.Send", "Calendars.ReadWrite", "offline_access"],
}

Operation = dict[str, Any]


class Outbox(Protocol):
    """Where notifications go; the webhooks implement it."""

    def publish(self, payload: dict[str, Any]) -> None: ...


class Grant(msgspec.Struct):
    id: str
    index: int
    email: str
    name: str
    provider: str
    scope: list[str]
    created_at: int
    updated_at: int
    grant_status: str = "valid"
    state: str = ""
    ip: str = "127.0.0.1"
    user_agent: str = ""
    settings: dict[str, Any] = {}
    expired_at: int | None = None


class Webhook(msgspec.Struct):
    id: str
    webhook_url: str
    trigger_types: list[str]
    webhook_secret: str
    created_at: int
    updated_at: int
    status_updated_at: int
    description: str = ""
    status: str = "active"
    notification_email_addresses: list[str] = []
    compressed_delivery: bool = False


class CachedSend(msgspec.Struct):
    """What an Idempotency-Key was answered with, and for which payload."""

    fingerprint: str
    status: int
    body: str
    at: int


class Log:
    """An append-only file of JSON lines; the first line says which world it belongs to."""

    def __init__(self, path: str | None) -> None:
        self._file: BinaryIO | None = None
        self._path = path

    def read(self) -> list[Operation]:
        if self._path is None or not os.path.exists(self._path):
            return []
        operations = []
        with open(self._path, "rb") as lines:
            for line in lines:
                # A process killed while writing may leave half a line at the end.
                if line.endswith(b"\n"):
                    operations.append(msgspec.json.decode(line))
        return operations

    def begin(self) -> None:
        if self._path is not None:
            self._drop_half_a_line(self._path)
            self._file = open(self._path, "ab", buffering=0)  # noqa: SIM115 - open while we run

    @staticmethod
    def _drop_half_a_line(path: str) -> None:
        if not os.path.exists(path):
            return
        with open(path, "rb+") as file:
            content = file.read()
            if content and not content.endswith(b"\n"):
                file.truncate(content.rfind(b"\n") + 1)

    def write(self, operations: tuple[Operation, ...]) -> None:
        if self._file is not None:
            self._file.write(b"".join(msgspec.json.encode(op) + b"\n" for op in operations))


class Sandbox:
    def __init__(self, world: World, log: Log | None = None, *, intake_messages: int = 0) -> None:
        self.world = world
        self.google = google_accounts.Google(self, intake_messages)
        self.log = log or Log(None)
        self.grants: dict[str, Grant] = {}
        self._grant_of_index: dict[int, str] = {}
        self._generations: dict[int, int] = {}
        self._mailboxes: dict[int, Mailbox] = {}
        self._agendas: dict[int, Agenda] = {}
        self._index_by_email: dict[str, int] | None = None
        self.webhooks: dict[str, Webhook] = {}
        self.sends: dict[str, CachedSend] = {}
        self.missed: dict[int, list[dict[str, Any]]] = {}  # notifications of expired grants
        self.invitations: list[dict[str, Any]] = []  # what participants of events were told
        self._providers: dict[int, str] = {}  # other ones than the personas'
        self._skews: dict[int, int] = {}  # by how many seconds the calendars' clocks are fast
        self.outbox: Outbox | None = None  # set once the world is as it was; replay tells nobody
        for index in range(1, world.size, 2):
            # Half of the personas have authorised already: every second one, never Mia (0).
            self._keep_grant(self.new_grant(index, world.anchor - 40 * DAY + index))

    # --- looking things up --------------------------------------------------------------------

    @staticmethod
    def now() -> int:
        return int(time.time())

    def clock(self, index: int) -> int:
        """The time by which the provider of this mailbox dates changes in its calendars."""
        return self.now() + self._skews.get(index, 0)

    def provider_of(self, index: int) -> str:
        """At whose calendars the mailbox is; its folders and messages stay the persona's."""
        return self._providers.get(index) or self.world.persona(index).provider

    def mailbox(self, index: int) -> Mailbox:
        if index not in self._mailboxes:
            self._mailboxes[index] = Mailbox(self.world, index)
        return self._mailboxes[index]

    def agenda(self, index: int) -> Agenda:
        if index not in self._agendas:
            self._agendas[index] = Agenda(self.world, index)
            self._agendas[index].is_google = self.provider_of(index) == "google"
        return self._agendas[index]

    def index_of(self, email: str) -> int | None:
        """The persona with this address or alias that has a mailbox here."""
        if self._index_by_email is None:
            self._index_by_email = {}
            for index in range(self.world.size):
                persona = self.world.persona(index)
                for address in (persona.email, *persona.aliases):
                    self._index_by_email[address.casefold()] = index
        return self._index_by_email.get(email.strip().casefold())

    def grant_of(self, index: int) -> Grant | None:
        return self.grants.get(self._grant_of_index.get(index, ""))

    def find_grant(self, id_or_email: str) -> Grant | None:
        if found := self.grants.get(id_or_email):
            return found
        index = self.index_of(id_or_email) if "@" in id_or_email else None
        return None if index is None else self.grant_of(index)

    def new_grant(self, index: int, at: int) -> Grant:
        """A grant for a persona without one; not stored yet. After a deletion the ID is another."""
        persona = self.world.persona(index)
        generation = self._generations.get(index, 0)
        return Grant(
            id=stable_uuid(self.world.seed, f"grant/{index}/{generation}"),
            index=index,
            email=persona.email,
            name=persona.name,
            provider=self.provider_of(index),
            scope=list(SCOPES.get(self.provider_of(index), ())),
            created_at=at,
            updated_at=at,
        )

    # --- changing -----------------------------------------------------------------------------

    def commit(self, *operations: Operation) -> None:
        """Record the operations, then apply them. Operations of one call are written together."""
        self.log.write(operations)
        for operation in operations:
            self.apply(operation)

    def apply(self, operation: Operation) -> None:
        name = operation["op"]
        if name in google_accounts.APPLY:
            google_accounts.APPLY[name](self.google, operation)
        else:
            _APPLY[name](self, operation)

    def _keep_grant(self, grant: Grant) -> None:
        self.grants[grant.id] = grant
        self._grant_of_index[grant.index] = grant.id

    def _drop_grant(self, grant_id: str) -> None:
        if grant := self.grants.pop(grant_id, None):
            self._generations[grant.index] = self._generations.get(grant.index, 0) + 1


def _apply_change(sandbox: Sandbox, op: Operation) -> None:
    folders = op.get("folders")
    sandbox.mailbox(op["mailbox"]).change(
        op["uid"],
        folders=None if folders is None else tuple(folders),
        unread=op.get("unread"),
        starred=op.get("starred"),
        metadata=op.get("metadata"),
    )


def _apply_webhook_gone(sandbox: Sandbox, op: Operation) -> None:
    sandbox.webhooks.pop(op["id"], None)


def _apply_webhook(sandbox: Sandbox, op: Operation) -> None:
    webhook = msgspec.convert(op["webhook"], Webhook)
    sandbox.webhooks[webhook.id] = webhook


def _apply_provider(sandbox: Sandbox, op: Operation) -> None:
    index, provider = op["mailbox"], op["provider"]
    sandbox._providers[index] = provider
    sandbox.agenda(index).is_google = provider == "google"
    if grant := sandbox.grant_of(index):
        grant.provider = provider


def _apply_skew(sandbox: Sandbox, op: Operation) -> None:
    sandbox._skews[op["mailbox"]] = op["seconds"]


def _apply_sent(sandbox: Sandbox, op: Operation) -> None:
    sandbox.sends[op["key"]] = msgspec.convert(op["answer"], CachedSend)


_APPLY: dict[str, Callable[[Sandbox, Operation], None]] = {
    "grant": lambda s, op: s._keep_grant(msgspec.convert(op["grant"], Grant)),
    "grant-gone": lambda s, op: s._drop_grant(op["id"]),
    "mail": lambda s, op: s.mailbox(op["mailbox"]).put(msgspec.convert(op["mail"], Mail)),
    "change": _apply_change,
    "remove": lambda s, op: s.mailbox(op["mailbox"]).remove(op["uid"]),
    "folder": lambda s, op: s.mailbox(op["mailbox"]).put_folder(
        msgspec.convert(op["folder"], Folder)
    ),
    "folder-gone": lambda s, op: s.mailbox(op["mailbox"]).remove_folder(op["id"]),
    "webhook": _apply_webhook,
    "webhook-gone": _apply_webhook_gone,
    "sent": _apply_sent,
    "event": lambda s, op: s.agenda(op["mailbox"]).put(op["event"]),
    "event-gone": lambda s, op: s.agenda(op["mailbox"]).remove(op["id"]),
    "calendar": lambda s, op: s.agenda(op["mailbox"]).put_calendar(op["calendar"]),
    "calendar-gone": lambda s, op: s.agenda(op["mailbox"]).remove_calendar(op["id"]),
    "invitation": lambda s, op: s.invitations.append(op["invitation"]),
    "provider": _apply_provider,
    "skew": _apply_skew,
}
