"""What providers tell us, as frozen values. No provider's own names or shapes leak past here."""

from collections.abc import Sequence
from datetime import date, datetime
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


# --- the intake: a monitored Gmail mailbox --------------------------------------------------------


class IntakeCredentials(Struct, frozen=True, gc=False):
    """What reading a Gmail mailbox needs, as an admin gave it and Google granted it."""

    client_id: str
    client_secret: str
    refresh_token: str

    def __repr__(self) -> str:
        return "IntakeCredentials(…)"


class IntakeProfile(Struct, frozen=True, gc=False):
    """Whose mailbox it is, and where its history stands now ("" where the answer had neither)."""

    address: str
    history_id: str


class IntakePage(Struct, frozen=True):
    """Ids of messages, newest first in a full listing, oldest first in a history.

    `history_id` is where the history stood when the page was made; "" where the answer had none.
    """

    message_ids: tuple[str, ...]
    next_page: str | None
    history_id: str = ""


class IntakeMessage(Struct, frozen=True):
    """One message as it was received: `raw` is never re-serialised.

    `received_at` is when Google accepted it, aware, UTC; `label_ids` are Google's own names. DRAFT,
    SPAM, TRASH or CHAT among them: not to be read, until it comes again without them.
    """

    id: str
    thread_id: str
    label_ids: tuple[str, ...]
    received_at: datetime | None
    raw: bytes


class IntakeGateway(Protocol):
    """What the product asks of the monitored mailbox: one gateway for one set of credentials.

    Every method raises a ProviderError: ReconnectRequired where Google no longer accepts the
    refresh token or a needed scope is missing, ApplicationRejected where it refuses the client id
    or secret. Calls may run in several threads at once.
    """

    def profile(self) -> IntakeProfile: ...

    def message_page(self, *, page_token: str | None = None) -> IntakePage:
        """All messages but those in Spam and Trash and drafts, newest first."""
        ...

    def history_page(self, history_id: str, *, page_token: str | None = None) -> IntakePage:
        """Messages that came since, in order, among them those that somebody took out of Spam,
        Trash or Drafts. Raises HistoryExpired.
        """
        ...

    def message(self, message_id: str) -> IntakeMessage:
        """Raises ItemGone on 404."""
        ...

    def label(self, message_ids: Sequence[str], *, name: str) -> None:
        """Put the label on the messages, making it where it does not exist. Safe to repeat."""
        ...


class IntakeAuthorisation(Struct, frozen=True):
    """Consent as it was given: the refresh token, whose mailbox it is, and the granted scopes."""

    refresh_token: str
    address: str
    scopes: frozenset[str]

    def __repr__(self) -> str:
        return "IntakeAuthorisation(…)"


# --- calendars ------------------------------------------------------------------------------------


class Calendar(Struct, frozen=True, gc=False):
    """One of the mailbox's calendars. `time_zone` is an IANA name, "" where unknown."""

    id: str
    name: str
    is_primary: bool = False
    is_read_only: bool = False
    time_zone: str = ""


class Attendee(Struct, frozen=True, gc=False):
    """Somebody invited; `address` is not normalised and may be missing (Microsoft)."""

    address: str
    name: str = ""
    #: yes, no, maybe, noreply; "" where the answer had none or something else.
    status: str = ""


class EventTime(Struct, frozen=True):
    """When an event is: either an instant or days.

    Timed: `starts_at` and `ends_at` aware, UTC; `time_zone` is the event's own IANA name or "".
    All day: `first_day` and `last_day`, both inclusive.
    """

    starts_at: datetime | None = None
    ends_at: datetime | None = None
    first_day: date | None = None
    last_day: date | None = None
    time_zone: str = ""

    @property
    def is_all_day(self) -> bool:
        return self.first_day is not None


class Event(Struct, frozen=True):
    """An event as a listing gives it; an occurrence of a series names its `master_event_id`.

    `time` is None where the answer had no usable one; an end before the start counts as the start.
    `status` is confirmed, maybe or cancelled (anything unknown counts as confirmed). `updated_at`
    is None where the provider does not say. `marker` is what we wrote on an event of our own
    making, "" on all others; if the user makes a series of it, all its occurrences have it.
    `description` may be HTML. `recurrence` holds the rules of a series' master, which a listing
    may give unexpanded.
    """

    id: str
    calendar_id: str
    title: str = ""
    description: str = ""
    location: str = ""
    time: EventTime | None = None
    status: str = "confirmed"
    is_private: bool = False
    is_read_only: bool = False
    organiser: Attendee | None = None
    attendees: tuple[Attendee, ...] = ()
    ical_uid: str = ""
    master_event_id: str = ""
    original_start: datetime | None = None
    recurrence: tuple[str, ...] = ()
    updated_at: datetime | None = None
    marker: str = ""


class UnreadableEvent(Struct, frozen=True):
    """One item of a page that could not be understood at all."""

    id: str
    cause: str


class EventPage(Struct, frozen=True):
    events: tuple[Event, ...]
    unreadable: tuple[UnreadableEvent, ...]
    next_page: str | None


class EventDraft(Struct, frozen=True):
    """What we write into somebody's calendar: never participants, never a notification.

    In an update None leaves that field of the event alone; a new event is given all of them.
    """

    title: str | None
    description: str | None
    location: str | None
    time: EventTime | None
    marker: str


class CalendarGateway(Protocol):
    """What the product asks of a calendar provider; fit for CalDAV as a later module.

    Every method raises a ProviderError. Writes name no participants, and ask that nobody be
    notified.
    """

    def calendars(self, grant_id: str) -> list[Calendar]:
        """All calendars. Raises PermanentError “calendars-unsupported” for a provider without."""
        ...

    def event_page(
        self,
        grant_id: str,
        *,
        calendar_id: str,
        start: datetime,
        end: datetime,
        updated_after: datetime | None = None,
        page_token: str | None = None,
    ) -> EventPage:
        """Events that overlap the window, series expanded, cancelled ones among them.

        `updated_after` (exclusive, whole seconds) only where the provider knows it (google,
        microsoft, ews). Deleted events are listed, as cancelled, by Google alone: elsewhere only
        their absence from a whole listing tells of them. iCloud refuses windows over a year.
        """
        ...

    def event(self, grant_id: str, event_id: str, *, calendar_id: str) -> Event:
        """One event. Raises ItemGone on 404 and 410."""
        ...

    def find_event(
        self, grant_id: str, marker: str, *, calendar_id: str, start: datetime, end: datetime
    ) -> Event | None:
        """The event of our own making with this marker, in or near the window; None if none.

        Neither cancelled events nor single occurrences of a series count.
        """
        ...

    def create_event(self, grant_id: str, draft: EventDraft, *, calendar_id: str) -> Event:
        """After a TransientError or UnexpectedAnswer it may exist all the same: `find_event`."""
        ...

    def update_event(
        self, grant_id: str, event_id: str, draft: EventDraft, *, calendar_id: str
    ) -> Event:
        """Raises ItemGone where the event is no longer there. Safe to repeat."""
        ...

    def delete_event(self, grant_id: str, event_id: str, *, calendar_id: str) -> None:
        """An event that is gone already is no error."""
        ...
