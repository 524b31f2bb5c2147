"""One Gmail mailbox: raw messages, labels, and the history of what happened to them.

Every event takes a number, and history IDs are those numbers spread out: growing, with gaps.
Messages of `gmail_generated` own no bytes; theirs are worked out when somebody asks.
"""

from __future__ import annotations

import base64
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from email.parser import BytesHeaderParser
from typing import Any

import msgspec

from sandbox.gmail_search import Summary, summary_of
from sandbox.hashing import mix, mix_of

_FIRST_HISTORY_ID = 480_000
_STRIDE = 16

SYSTEM_LABELS = (
    "CHAT", "SENT", "INBOX", "IMPORTANT", "TRASH", "DRAFT", "SPAM", "CATEGORY_FORUMS",
    "CATEGORY_UPDATES", "CATEGORY_PERSONAL", "CATEGORY_PROMOTIONS", "CATEGORY_SOCIAL", "STARRED",
    "UNREAD",
)  # fmt: skip
# Only Gmail itself puts these on a message.
NOT_APPLICABLE = frozenset({"CHAT", "SENT", "DRAFT"})
ARRIVING = ("UNREAD", "IMPORTANT", "CATEGORY_PERSONAL", "INBOX")
HIDDEN = frozenset({"SPAM", "TRASH"})

Key = tuple[int, int]  # (-internal date, -number): newest first


class Label(msgspec.Struct, omit_defaults=True):
    id: str
    name: str
    message_list_visibility: str = msgspec.field(name="messageListVisibility", default="")
    label_list_visibility: str = msgspec.field(name="labelListVisibility", default="")
    color: dict[str, str] | None = None
    type: str = ""


class Message(msgspec.Struct):
    number: int
    id: str
    thread_id: str
    at: int  # internal date, milliseconds
    history_id: int
    labels: tuple[str, ...]
    content: bytes | None = None
    generated: int | None = None  # the number that `gmail_generated` makes its bytes of
    note: dict[str, Any] = {}


class Record(msgspec.Struct):
    """One line of the history. `labels` are the message's at that moment."""

    id: int
    kind: str  # messageAdded, messageDeleted, labelAdded, labelRemoved
    message_id: str
    thread_id: str
    labels: tuple[str, ...]
    changed: tuple[str, ...] = ()


def _spread(event: int) -> int:
    """The history ID of an event."""
    return _FIRST_HISTORY_ID + event * _STRIDE + mix(event) % (_STRIDE - 1)


class GmailMailbox:
    def __init__(self, account: str, seed: int, generate: Callable[[int, int], bytes]) -> None:
        self.account = account
        self._seed = seed
        self._generate = generate
        self._event = 0
        self._number = 0
        self._generated = 0
        self.oldest_start = _spread(0)  # what a client may begin its history with
        self.records: list[Record] = []
        self.messages: dict[str, Message] = {}
        self._by_number: dict[int, Message] = {}
        self._order: list[Key] = []
        self._summaries: dict[int, Summary] = {}
        self._id_of_message_id: dict[str, str] = {}
        self.labels = {name: Label(name, name, type="system") for name in SYSTEM_LABELS}

    # --- reading ------------------------------------------------------------------------------

    @property
    def history_id(self) -> int:
        return _spread(self._event)

    def raw(self, message: Message) -> bytes:
        if message.content is not None:
            return message.content
        assert message.generated is not None
        return self._generate(message.generated, message.at)

    def summary(self, message: Message) -> Summary:
        if message.number not in self._summaries:
            self._summaries[message.number] = summary_of(self.raw(message))
        return self._summaries[message.number]

    def find(self, wanted: str) -> Message | None:
        """By API ID or by Message-ID."""
        return self.messages.get(wanted) or self.messages.get(
            self._id_of_message_id.get(wanted, "")
        )

    def walk(self, behind: Key | None = None) -> Iterator[Message]:
        """Newest first; `behind` is the key of the last one seen."""
        at = 0 if behind is None else bisect_right(self._order, behind)
        for key in self._order[at:]:
            yield self._by_number[-key[1]]

    def history_after(self, start: int) -> list[Record]:
        return self.records[bisect_right(self.records, start, key=lambda record: record.id) :]

    def threads(self, messages: Iterable[Message]) -> int:
        return len({message.thread_id for message in messages})

    def new_label_id(self) -> str:
        return f"Label_{mix_of(self._seed, 61, len(self.labels))}"

    # --- what happens: called only when a recorded operation is applied ------------------------

    def _next_event(self) -> int:
        self._event += 1
        return self.history_id

    def _record(self, message: Message, kind: str, changed: tuple[str, ...] = ()) -> None:
        message.history_id = self._next_event()
        self.records.append(
            Record(message.history_id, kind, message.id, message.thread_id, message.labels, changed)
        )

    def _keep(self, message: Message) -> None:
        self.messages[message.id] = message
        self._by_number[message.number] = message
        key = (-message.at, -message.number)
        # Mail mostly arrives in the order of time, and then belongs at the front.
        if not self._order or key < self._order[0]:
            self._order.insert(0, key)
        else:
            insort(self._order, key)

    def _new_id(self, at: int) -> str:
        """As Gmail's: hexadecimal, growing with time, different for messages of one instant."""
        scrambled = self._number * 0x9E375 & 0xFFFFF
        return f"{at << 20 | scrambled:x}"

    def add(
        self,
        raw: bytes,
        *,
        at: int,
        labels: tuple[str, ...] = ARRIVING,
        note: dict[str, Any] | None = None,
    ) -> Message:
        headers = BytesHeaderParser().parsebytes(raw)
        references = f"{headers.get('References', '')} {headers.get('In-Reply-To', '')}".split()
        known = (self._id_of_message_id.get(reference) for reference in reversed(references))
        parent = next((self.messages[i] for i in known if i in self.messages), None)
        new_id = self._new_id(at)
        thread_id = parent.thread_id if parent else new_id
        message = Message(self._number, new_id, thread_id, at, 0, labels, raw, note=note or {})
        self._number += 1
        self._keep(message)
        if message_id := str(headers.get("Message-ID", "")).strip():
            self._id_of_message_id.setdefault(message_id, new_id)
        self._record(message, "messageAdded")
        return message

    def add_recorded(self, op: dict[str, Any]) -> None:
        raw = base64.b64decode(op["raw"])
        self.add(raw, at=op["at"], labels=tuple(op["labels"]), note=op["note"])

    def add_generated(self, count: int, *, until: int, spacing: int) -> None:
        """`count` messages more, `spacing` apart, the newest at `until` (milliseconds)."""
        keys = []
        for n in range(count):
            at = until - (count - 1 - n) * spacing
            new_id = self._new_id(at)
            message = Message(
                self._number, new_id, new_id, at, 0, ARRIVING, generated=self._generated
            )
            self.messages[new_id] = message
            self._by_number[self._number] = message
            keys.append((-at, -self._number))
            self._number += 1
            self._generated += 1
            self._record(message, "messageAdded")
        self._order = sorted([*self._order, *keys])

    def relabel(self, ids: list[str], add: list[str], remove: list[str]) -> None:
        for wanted in ids:
            message = self.messages.get(wanted)
            if message is None:
                continue
            added = tuple(label for label in add if label not in message.labels)
            removed = tuple(label for label in remove if label in message.labels)
            message.labels = (*(b for b in message.labels if b not in removed), *added)
            if added:
                self._record(message, "labelAdded", added)
            if removed:
                self._record(message, "labelRemoved", removed)

    def remove(self, wanted: str) -> None:
        message = self.messages.pop(wanted, None)
        if message is None:
            return
        del self._by_number[message.number]
        del self._order[bisect_left(self._order, (-message.at, -message.number))]
        self._record(message, "messageDeleted")

    def put_label(self, label: Label) -> None:
        self.labels[label.id] = label

    def forget_history(self) -> None:
        """No history ID given out so far is good for a start any more, except the newest one's
        successor, which the profile tells from now on."""
        self.records.clear()
        self.oldest_start = self._next_event()
