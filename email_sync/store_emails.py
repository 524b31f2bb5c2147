"""Storing emails: one for each message, whichever ways it came in.

A message may come from the rep's own mailbox, by BCC, attached to a forward, or cut out of a
forward's text, in any order. The first way stores the email, the others only add their ledger
entry; the outcome is the same in any order:

* By its key (`email_sync.message_keys`) where the message has its Message-ID.
* One that was cut out of a text has none: it is known by its likeness (`email_sync.originals`).
  Once a copy with the Message-ID arrives, that copy takes the email over.
* The copy from the rep's own mailbox owns the thread, the Bcc list and the time.

Every function here runs inside the transaction that the caller opened.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from django.db.models import Q
from msgspec import Struct, field

from accounts.addresses import MAX_ADDRESS_LENGTH, normalise
from accounts.models import User
from crm_sync.providers.types import Address, MessageHeaders
from email_sync.message_keys import thread_key
from email_sync.models import Email, EmailContact, EmailParticipant, Source
from email_sync.originals import same_time
from email_sync.processed import Processed, Row

_ROLES = ("from", "to", "cc", "bcc")
#: What a copy with its own Message-ID writes over what was cut out of a forward.
_TAKEN_OVER = (
    "message_key message_id thread_key provider_thread_id direction subject sent_at body_text "
    "body_html attachments fingerprint is_inline"
).split()


class StoredEmail(Struct, frozen=True):
    """What an entry needs to know of its email. `is_new`: this message made it."""

    id: int
    is_hidden: bool
    is_new: bool = False


class Unclear(Struct, frozen=True):
    """A message that could be one of several stored emails: nothing was stored for it."""

    message: Processed
    email_ids: tuple[int, ...]


class Stored(Struct, frozen=True):
    """What became of the messages that matched, by the row of the item they belong to."""

    emails: dict[Row, dict[str, StoredEmail]] = field(default_factory=dict)
    unclear: dict[Row, Unclear] = field(default_factory=dict)

    def emails_of(self, item: Processed) -> list[StoredEmail]:
        """Each email of the item once, those that are not deleted in the CRM first."""
        found = {email.id: email for email in self.emails.get(item.row, {}).values()}
        return sorted(found.values(), key=lambda email: email.is_hidden)

    def new_of(self, item: Processed) -> int:
        """How many emails there are because of this item."""
        return sum(email.is_new for email in self.emails.get(item.row, {}).values())


def stored_keys(user_id: int, keys: Iterable[str]) -> set[str]:
    """Those of the keys that emails of the user have, whichever source they came from."""
    rows = Email.objects.filter(user_id=user_id, message_key__in=list(keys)).order_by()
    return set(rows.values_list("message_key", flat=True))


def store_emails(items: Iterable[Processed], *, now: datetime) -> Stored:
    """The emails of all messages that matched: made where there is none, linked in any case.

    One without its text (it could not be read) is stored only as a further source.
    """
    matched = [(item, message) for item in items for message in item.to_store]
    if not matched:
        return Stored()
    messages = [message for _, message in matched]
    users = {m.origin.user_id for m in messages if m.origin.user_id is not None}
    _take_turns(users)
    shelf = _Shelf(_known_threads(users, messages), now=now)
    shelf.add(_that_may_be(users, messages))
    for item, message in matched:
        shelf.place(item, message)
    return shelf.write()


def _take_turns(user_ids: Collection[int]) -> None:
    """Hold back other sources of these users' mail until this transaction ends.

    Else the Sent copy and the BCC of one message, read at the same moment, would both be first.
    """
    users = User.objects.filter(pk__in=user_ids).order_by("pk").select_for_update(no_key=True)
    list(users.values_list("pk"))


def _that_may_be(user_ids: Collection[int], messages: Sequence[Processed]) -> list[Email]:
    """The stored emails that one of the messages may turn out to be: one query."""
    cut_out = {m.content.likeness for m in messages if m.is_inline and m.content} - {""}
    whole = {m.content.likeness for m in messages if not m.is_inline and m.content} - {""}
    wanted = Q(message_key__in=[message.key for message in messages])
    if whole:
        wanted |= Q(is_inline=True, fingerprint__in=whole)
    if cut_out:
        wanted |= Q(fingerprint__in=cut_out)
    if chosen := {message.same_as for message in messages if message.same_as}:
        wanted |= Q(pk__in=chosen)
    emails = Email.objects.filter(wanted, user_id__in=user_ids).order_by("pk")
    return list(emails.defer("body_text", "body_html", "message_id", "subject"))


def _known_threads(
    user_ids: Collection[int], messages: Sequence[Processed]
) -> dict[tuple[int, str], str]:
    """Thread keys that the users' emails gave to the provider's threads of these messages."""
    threads = {m.headers.thread_id for m in messages if m.headers.thread_id}
    if not threads:
        return {}
    rows = Email.objects.filter(user_id__in=user_ids, provider_thread_id__in=threads)
    found = rows.values_list("user_id", "provider_thread_id", "thread_key")
    return {(user_id, thread): key for user_id, thread, key in found}


class _Placed(Struct, frozen=True):
    """A message, the email that it is, and whether the email is there because of it."""

    email: Email
    row: Row
    message: Processed
    is_new: bool


class _Shelf:
    """The emails that a batch meets: those stored already, and those that it brings."""

    def __init__(self, threads: dict[tuple[int, str], str], *, now: datetime) -> None:
        self.threads = threads
        self.now = now
        self._by_pk: dict[int, Email] = {}
        self._by_key: dict[tuple[int, str], Email] = {}
        self._alike: dict[tuple[int, str], list[Email]] = defaultdict(list)
        self._new: list[Email] = []
        self._taken_over: list[Email] = []
        self._adopted: list[Email] = []
        self._people: list[tuple[Email, MessageHeaders, Sequence[str]]] = []
        self._placed: list[_Placed] = []
        self._unclear: dict[Row, tuple[Processed, list[Email]]] = {}

    def add(self, emails: Iterable[Email]) -> None:
        for email in emails:
            if email.pk:
                self._by_pk[email.pk] = email
            self._by_key[email.user_id, email.message_key] = email
            if email.fingerprint:
                self._alike[email.user_id, email.fingerprint].append(email)

    def place(self, item: Processed, message: Processed) -> None:
        """Find the email that this message of an item is, or make one."""
        user_id = message.origin.user_id
        assert user_id is not None  # only a user's contacts can match
        email = self._by_key.get((user_id, message.key)) or self._by_pk.get(message.same_as or 0)
        if email is not None:
            if message.origin.source == Source.NYLAS:
                self._adopt(email, message)
        elif message.content is None:
            return
        else:
            alike = self._copies(user_id, message)
            if message.is_inline and len(alike) > 1:
                self._unclear[item.row] = (message, alike)
                return
            if len(alike) == 1:
                email = alike[0]
                if not message.is_inline:
                    self._take_over(email, message)
        is_new = email is None
        placed = email or self._make(user_id, message)
        self._placed.append(_Placed(placed, item.row, message, is_new))

    def _copies(self, user_id: int, message: Processed) -> list[Email]:
        """Emails that are this message by their likeness; of a whole one, only those cut out."""
        if message.content is None or not message.content.likeness or message.same_as == 0:
            return []
        alike = self._alike[user_id, message.content.likeness]
        if not message.is_inline:
            alike = [email for email in alike if email.is_inline]
        return same_time(alike, message.headers.received_at or self.now)

    def _make(self, user_id: int, message: Processed) -> Email:
        email = Email(user_id=user_id)
        self._fill(email, message)
        self._new.append(email)
        self._people.append((email, message.headers, _ROLES))
        self.add([email])
        return email

    def _take_over(self, email: Email, message: Processed) -> None:
        """Write a message with its own Message-ID over what was cut out of a forward of it."""
        self._alike[email.user_id, email.fingerprint].remove(email)
        del self._by_key[email.user_id, email.message_key]
        self._fill(email, message)
        self._people = [entry for entry in self._people if entry[0] is not email]
        self._people.append((email, message.headers, _ROLES))
        if email.pk:
            self._taken_over.append(email)
        self.add([email])

    def _fill(self, email: Email, message: Processed) -> None:
        assert message.content is not None
        headers = message.headers
        email.message_key = message.key
        email.message_id = headers.message_id
        email.thread_key = self._thread(message)
        email.provider_thread_id = headers.thread_id[:500]
        email.direction = message.decision.direction
        email.subject = headers.subject
        # A message without a usable date is shown on the day on which it was read.
        email.sent_at = headers.received_at or self.now
        email.body_text = message.content.text
        email.body_html = message.content.html
        email.attachments = [
            {"name": part.name, "type": part.content_type, "size": part.size}
            for part in message.content.attachments
        ]
        email.fingerprint = message.content.likeness
        email.is_inline = message.is_inline

    def _thread(self, message: Processed) -> str:
        headers, user_id = message.headers, message.origin.user_id
        assert user_id is not None
        return self.threads.setdefault(
            (user_id, headers.thread_id or message.key),
            thread_key(
                headers.message_id,
                in_reply_to=headers.in_reply_to,
                references=headers.references,
                own_key=message.key,
            ),
        )

    def _adopt(self, email: Email, message: Processed) -> None:
        """What only the copy in the rep's own mailbox knows: the thread, the Bcc list, the time."""
        headers = message.headers
        if email.provider_thread_id or not headers.thread_id:
            return
        thread = (email.user_id, headers.thread_id)
        email.thread_key = self.threads.setdefault(thread, email.thread_key)
        email.provider_thread_id = headers.thread_id[:500]
        email.sent_at = headers.received_at or email.sent_at
        self._people.append((email, headers, ("bcc",)))
        if email.pk:
            self._adopted.append(email)

    def write(self) -> Stored:
        Email.objects.bulk_create(self._new)
        for email in self._taken_over:
            email.participants.all().delete()
            email.save(update_fields=_TAKEN_OVER)
        for email in self._adopted:
            email.save(update_fields=["thread_key", "provider_thread_id", "sent_at"])
        EmailParticipant.objects.bulk_create(
            [p for email, headers, roles in self._people for p in _people(email, headers, roles)],
            ignore_conflicts=True,
        )
        EmailContact.objects.bulk_create(
            [
                EmailContact(email_id=placed.email.pk, contact_id=match.contact.id)
                for placed in self._placed
                for match in placed.message.decision.matches
            ],
            ignore_conflicts=True,
        )
        return self._outcome()

    def _outcome(self) -> Stored:
        stored = Stored(
            unclear={
                row: Unclear(message, tuple(email.pk for email in alike))
                for row, (message, alike) in self._unclear.items()
            }
        )
        for placed in self._placed:
            is_hidden = placed.email.hidden_at is not None
            email = StoredEmail(placed.email.pk, is_hidden, placed.is_new)
            # A forward may hold one message twice.
            stored.emails.setdefault(placed.row, {}).setdefault(placed.message.key, email)
        return stored


def _people(
    email: Email, headers: MessageHeaders, roles: Sequence[str]
) -> Iterable[EmailParticipant]:
    people: dict[str, tuple[Address, ...]] = {
        "from": headers.from_, "to": headers.to, "cc": headers.cc, "bcc": headers.bcc,
    }  # fmt: skip
    for role in roles:
        for person in people[role]:
            if address := normalise(person.address):
                yield EmailParticipant(
                    email_id=email.pk,
                    role=role,
                    address=address[:MAX_ADDRESS_LENGTH],
                    name=person.name[:200],
                )
