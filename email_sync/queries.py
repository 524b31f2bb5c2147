"""Emails as screens show them: conversations of a customer or contact, copies of one message."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.core.paginator import Page, Paginator
from django.db.models import Max, Prefetch, QuerySet

from accounts.models import Mailbox, MailboxSync, User
from email_sync.models import (
    Email,
    EmailContact,
    EmailParticipant,
    FolderCursor,
    IntakeConnection,
    LedgerEntry,
    Source,
)
from email_sync.models.emails import EmailQuerySet
from email_sync.progress import FolderReading, Progress, estimate

THREADS_PER_PAGE = 10
#: Emails of one conversation that are listed before somebody asks for all of them.
THREAD_PREVIEW = 20


@dataclass(frozen=True)
class ListedEmail:
    """One message as listed: once, however many of the users that the viewer may read have it.

    `email` is the copy that View opens: the viewer's own where there is one.
    """

    email: Email
    holders: tuple[User, ...]
    participants: tuple[EmailParticipant, ...]

    @property
    def senders(self) -> list[EmailParticipant]:
        return [p for p in self.participants if p.role == EmailParticipant.Role.FROM]

    @property
    def recipients(self) -> list[EmailParticipant]:
        return [p for p in self.participants if p.role != EmailParticipant.Role.FROM]


@dataclass(frozen=True)
class Thread:
    """A conversation, newest message first. `left_out` counts those that are not listed."""

    key: str
    emails: tuple[ListedEmail, ...]
    left_out: int = 0

    @property
    def newest(self) -> ListedEmail:
        return self.emails[0]

    @property
    def earlier(self) -> tuple[ListedEmail, ...]:
        return self.emails[1:]

    @property
    def count_earlier(self) -> int:
        return len(self.emails) - 1 + self.left_out


@dataclass(frozen=True)
class ThreadPage:
    threads: list[Thread]
    page: "Page[str]"


def thread_page(emails: EmailQuerySet, *, viewer: User, number: str | None) -> ThreadPage:
    """One page of the conversations among these emails, the newest first.

    The number of queries does not grow with the number of conversations.
    """
    keys = (
        emails.order_by()
        .values("thread_key")
        .annotate(newest=Max("sent_at"))
        .order_by("-newest", "thread_key")
        .values_list("thread_key", flat=True)
    )
    page = Paginator(keys, THREADS_PER_PAGE).get_page(number)
    wanted = list(page.object_list)
    by_thread: dict[str, list[ListedEmail]] = {key: [] for key in wanted}
    for listed in _listed(emails.filter(thread_key__in=wanted), viewer):
        by_thread[listed.email.thread_key].append(listed)
    threads = [
        Thread(key, tuple(found[:THREAD_PREVIEW]), max(0, len(found) - THREAD_PREVIEW))
        for key, found in by_thread.items()
        if found
    ]
    return ThreadPage(threads, page)


def whole_thread(emails: EmailQuerySet, *, viewer: User, key: str) -> list[ListedEmail]:
    """All these emails of one conversation, newest first."""
    return _listed(emails.filter(thread_key=key), viewer)


def _listed(emails: EmailQuerySet, viewer: User) -> list[ListedEmail]:
    """Newest first; copies of one message that several users have become one."""
    rows = (
        emails.select_related("user")
        .prefetch_related("participants")
        .defer("body_text", "body_html", "message_id")
        .order_by("-sent_at", "-pk")
    )
    copies: dict[str, list[Email]] = {}
    for email in rows:
        copies.setdefault(email.message_key, []).append(email)
    return [_as_one(found, viewer) for found in copies.values()]


def _as_one(copies: list[Email], viewer: User) -> ListedEmail:
    own = (email for email in copies if email.user_id == viewer.pk)
    email = next(own, copies[0])
    # A sender's copy may know the Bcc that a recipient's cannot.
    participants = {
        (p.role, p.address): p for copy in copies for p in copy.participants.all()
    }.values()
    holders = sorted({copy.user for copy in copies}, key=lambda user: user.display_name)
    return ListedEmail(email, tuple(holders), tuple(participants))


def with_details(emails: EmailQuerySet) -> EmailQuerySet:
    """With everything that the email's own page shows."""
    links = EmailContact.objects.select_related("contact__customer").order_by(
        "contact__last_name", "contact__pk"
    )
    return emails.select_related("user").prefetch_related(
        "participants", Prefetch("links", queryset=links)
    )


def participants_by_role(email: Email) -> list[tuple[str, list[EmailParticipant]]]:
    """Who is named in the headers, under the headers' names; roles without anybody are left out."""
    Role = EmailParticipant.Role
    titles = {Role.FROM: "From", Role.TO: "Sent to", Role.CC: "Cc", Role.BCC: "Bcc"}
    everybody = email.participants.all()
    by_role = [(title, [p for p in everybody if p.role == role]) for role, title in titles.items()]
    return [(title, found) for title, found in by_role if found]


def reply_addresses(email: Email) -> str:
    """Whom a reply goes to, as a mailto: takes it: who wrote, or whom the user wrote to."""
    is_sent = email.direction == Email.Direction.SENT
    role = EmailParticipant.Role.TO if is_sent else EmailParticipant.Role.FROM
    return ",".join(p.address for p in email.participants.all() if p.role == role)


def sources_of(email: Email) -> list[str]:
    """How the message came in, each way once, as words."""
    entries = LedgerEntry.objects.of_email(email).order_by()
    found = set(entries.values_list("source", flat=True))
    return [source.label for source in Source if source in found]


def copies_of(email: Email, viewer: User) -> EmailQuerySet:
    """The same message as other users have it, as far as the viewer may read those."""
    same = Email.objects.readable_by(viewer).filter(message_key=email.message_key)
    return same.exclude(pk=email.pk).select_related("user").order_by("user__last_name", "pk")


def hide(email: Email, *, viewer: User, now: datetime) -> int:
    """Delete a message in the CRM: hide each copy that is shown as one to the viewer.

    The mail app is left alone. The row stays, so that the next sync does not bring it back.
    """
    same = Email.objects.readable_by(viewer).filter(message_key=email.message_key)
    return same.hide(now=now)


def unhide(email: Email, *, viewer: User) -> int:
    """Undo one `hide`: the copies that were hidden at the same moment come back."""
    same = Email.objects.hidden_from(viewer).filter(message_key=email.message_key)
    return same.filter(hidden_at=email.hidden_at).update(hidden_at=None)


def is_section_shown(user: User) -> bool:
    """Whether pages offer this user the emails: managers, admins, and those whose mail is logged.

    By their own mailbox, or by BCC and forwarding, which need none.
    """
    return (
        user.is_manager
        or Mailbox.objects.filter(user_id=user.pk, email_enabled=True).exists()
        or IntakeConnection.objects.selected().exists()
    )


def progress_of(mailbox: Mailbox, *, now: datetime) -> Progress | None:
    """How far the first reading of a mailbox has come; None unless one is under way."""
    return progress_by_mailbox([mailbox], now=now).get(mailbox.pk)


def progress_by_mailbox(mailboxes: Iterable[Mailbox], *, now: datetime) -> dict[int, Progress]:
    """The same for several mailboxes at once: two queries, however many there are."""
    reading = _being_read(mailboxes)
    under_way = {sync.mailbox_id: sync.mailbox for sync in reading.select_related("mailbox")}
    folders: dict[int, list[FolderReading]] = {key: [] for key in under_way}
    for cursor in FolderCursor.objects.filter(mailbox__in=under_way):
        folders[cursor.mailbox_id].append(
            FolderReading(
                name=cursor.name,
                seen=cursor.seen,
                oldest_seen=cursor.oldest_seen,
                is_done=cursor.backfilled_at is not None,
            )
        )
    return {
        key: estimate(folders[key], sync_from=mailbox.sync_from, now=now)
        for key, mailbox in under_way.items()
    }


def _being_read(mailboxes: Iterable[Mailbox]) -> QuerySet[MailboxSync]:
    return MailboxSync.objects.enabled().filter(
        mailbox__in=mailboxes, kind=MailboxSync.Kind.EMAIL, backfilled_at=None
    )
