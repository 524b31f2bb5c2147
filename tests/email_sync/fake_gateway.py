"""A mailbox in memory behind the gateway's protocol: the only seam at which tests replace HTTP."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from crm_sync.providers.errors import ItemGone, PermanentError
from crm_sync.providers.types import (
    Address,
    Attachment,
    Folder,
    Message,
    MessageHeaders,
    MessagePage,
    UnreadableMessage,
)

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def headers(
    id: str = "m1",
    *,
    from_: str = "ana@lumen.example",
    to: tuple[str, ...] = ("mia@northsound.example",),
    cc: tuple[str, ...] = (),
    bcc: tuple[str, ...] = (),
    subject: str = "Offer",
    message_id: str | None = None,
    folder: str = "INBOX",
    received_at: datetime | None = NOW - timedelta(days=1),
    **more: object,
) -> MessageHeaders:
    return MessageHeaders(
        id=id,
        thread_id=str(more.pop("thread_id", f"thread-{id}")),
        folder_ids=(folder,),
        received_at=received_at,
        subject=subject,
        from_=(Address(from_),) if from_ else (),
        to=tuple(Address(a) for a in to),
        cc=tuple(Address(a) for a in cc),
        bcc=tuple(Address(a) for a in bcc),
        has_headers=bool(more.pop("has_headers", True)),
        message_id=f"<{id}@mail.example>" if message_id is None else message_id,
        **more,
    )


@dataclass
class FakeGateway:
    """Lists newest first, by pages, as the contract sheet says; counts what is asked of it.

    `before` is called before each request with its kind and subject and may raise.
    """

    folder_list: list[Folder] = field(
        default_factory=lambda: [
            Folder("INBOX", "Inbox", "inbox"),
            Folder("SENT", "Sent", "sent"),
            Folder("DRAFTS", "Drafts", "drafts"),
            Folder("TRASH", "Trash", "trash"),
            Folder("JUNK", "Junk", "junk"),
            Folder("F1", "Clients/Harbor", ""),
        ]
    )
    messages: dict[str, MessageHeaders] = field(default_factory=dict)
    bodies: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, list[UnreadableMessage]] = field(default_factory=dict)
    page_size: int = 2
    before: Callable[[str, str], None] = lambda kind, subject: None
    asked: Counter[str] = field(default_factory=Counter)
    fetched: list[str] = field(default_factory=list)
    #: What the list answers instead of a message's own headers, where that differs.
    listed_as: Callable[[MessageHeaders], MessageHeaders] = lambda message: message

    def add(self, *messages: MessageHeaders) -> None:
        self.messages.update({message.id: message for message in messages})

    def folders(self, grant_id: str) -> list[Folder]:
        self.asked["folders"] += 1
        self.before("folders", "")
        return self.folder_list

    def message_page(
        self,
        grant_id: str,
        *,
        folder_id: str,
        received_after: datetime | None,
        page_token: str | None = None,
        limit: int = 200,
    ) -> MessagePage:
        self.asked["page"] += 1
        self.before("page", folder_id)
        found = sorted(
            (
                message
                for message in self.messages.values()
                if folder_id in message.folder_ids
                and (
                    received_after is None
                    or message.received_at is None
                    or message.received_at > received_after
                )
            ),
            key=lambda message: (message.received_at or NOW, message.id),
            reverse=True,
        )
        if page_token is not None and page_token not in {m.id for m in found}:
            raise PermanentError("This page is no longer there.", code="page-token-refused")
        start = next((i for i, m in enumerate(found) if m.id == page_token), 0)
        end = start + min(limit, self.page_size)
        return MessagePage(
            messages=tuple(self.listed_as(message) for message in found[start:end]),
            unreadable=tuple(self.unreadable.pop(folder_id, ())),
            next_page=found[end].id if end < len(found) else None,
        )

    def message_headers(self, grant_id: str, message_id: str) -> MessageHeaders:
        self.asked["headers"] += 1
        self.before("headers", message_id)
        if message_id not in self.messages:
            raise ItemGone("It is no longer in the mailbox.", status=404)
        return self.messages[message_id]

    def message(self, grant_id: str, message_id: str) -> Message:
        self.asked["message"] += 1
        self.fetched.append(message_id)
        self.before("message", message_id)
        if message_id not in self.messages:
            raise ItemGone("It is no longer in the mailbox.", status=404)
        return Message(
            headers=self.messages[message_id],
            body=self.bodies.get(message_id, f"<p>Text of {message_id}</p>"),
            is_html=True,
            attachments=(Attachment("offer.pdf", "application/pdf", 1234),),
        )
