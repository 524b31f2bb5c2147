"""What providers tell us, as frozen values. No provider's own names or shapes leak past here."""

from datetime import datetime
from typing import Literal, Protocol

from msgspec import Struct

FolderRole = Literal["inbox", "sent", "drafts", "trash", "junk", "archive", ""]


class Address(Struct, frozen=True, gc=False):
    """One mailbox as written in a header; `address` is not yet normalised."""

    address: str
    name: str = ""


class Folder(Struct, frozen=True, gc=False):
    """A folder or label. `name` may hold a path; `role` is by attribute, never by display name."""

    id: str
    name: str
    role: FolderRole = ""
    total_count: int | None = None


class MessageHeaders(Struct, frozen=True):
    """A message without its text, as a list call gives it.

    `message_id` is the Message-ID header as sent (with its angle brackets), "" where the message
    has none. `has_headers` is False where the answer held no headers at all, so that nothing is
    known about the Message-ID yet. `received_at` is the server's receipt time, aware, UTC; None
    where the answer had none or an impossible one.
    """

    id: str
    thread_id: str
    folder_ids: tuple[str, ...]
    received_at: datetime | None
    subject: str
    from_: tuple[Address, ...]
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    has_headers: bool
    message_id: str = ""
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    is_draft: bool = False


class Attachment(Struct, frozen=True, gc=False):
    """What is shown of an attachment; contents are never stored. `size` in bytes."""

    name: str
    content_type: str
    size: int
    is_inline: bool = False


class Message(Struct, frozen=True):
    """One message with its text: fetched only after it matched.

    `body` is HTML as the provider gave it (or plain text, see `is_html`), not sanitised.
    """

    headers: MessageHeaders
    body: str
    is_html: bool
    attachments: tuple[Attachment, ...] = ()


class UnreadableMessage(Struct, frozen=True):
    """One item of a page that could not be understood; it costs only its own ledger entry."""

    id: str
    cause: str


class MessagePage(Struct, frozen=True):
    """One page of a listing, newest first. `next_page` is None on the last one."""

    messages: tuple[MessageHeaders, ...]
    unreadable: tuple[UnreadableMessage, ...]
    next_page: str | None


class Grant(Struct, frozen=True, gc=False):
    """Leave to read a mailbox, as the provider sees it."""

    id: str
    email: str
    provider: str
    is_valid: bool = True


class Webhook(Struct, frozen=True, gc=False):
    """Where the provider tells us that something happened. `status` is the provider's own word.

    `is_complete` says whether it is told of everything that we listen to.
    """

    id: str
    url: str
    status: str
    is_complete: bool


class MailGateway(Protocol):
    """What the product asks of a mail provider; fit for IMAP as a later module.

    Every method raises a ProviderError. A page that failed raises; it never passes for an empty
    one. Calls for one mailbox may run in several threads at once.
    """

    def folders(self, grant_id: str) -> list[Folder]: ...

    def message_page(
        self,
        grant_id: str,
        *,
        folder_id: str,
        received_after: datetime | None,
        page_token: str | None = None,
        limit: int = 200,
    ) -> MessagePage:
        """Headers only. `received_after` is exclusive, whole seconds."""
        ...

    def message_headers(self, grant_id: str, message_id: str) -> MessageHeaders:
        """One message without its text, by the provider's id. Raises ItemGone on 404 and 410."""
        ...

    def message(self, grant_id: str, message_id: str) -> Message:
        """One message with its text, by the provider's id. Raises ItemGone on 404 and 410."""
        ...


class AuthorisationGateway(Protocol):
    """What the product asks of a provider to connect and disconnect a mailbox."""

    def detect_provider(self, address: str) -> str | None: ...

    def authorisation_url(
        self, *, provider: str, redirect_uri: str, state: str, login_hint: str
    ) -> str: ...

    def exchange_code(self, code: str, *, redirect_uri: str) -> Grant: ...

    def grant(self, grant_id: str) -> Grant: ...

    def revoke_grant(self, grant_id: str) -> None: ...


class WebhookGateway(Protocol):
    """What the product asks of a provider to be told of news. A secret is told only once."""

    def webhooks(self) -> list[Webhook]: ...

    def create_webhook(self, url: str) -> tuple[Webhook, str]:
        """The new webhook and its secret. The provider asks `url` for its challenge first."""
        ...

    def mend_webhook(self, webhook_id: str) -> Webhook:
        """Make it active, and listen to all that we use."""
        ...

    def rotate_webhook_secret(self, webhook_id: str) -> str:
        """A new secret; the provider signs with it from now on."""
        ...
