"""What the database holds before anything is measured: people, contacts, history, mailboxes."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count

from django.db import connection, models

from accounts.addresses import domain_of, normalise
from accounts.models import (
    Contact,
    ContactAddress,
    Customer,
    Mailbox,
    MailboxSync,
    MyContact,
    User,
)
from accounts.models.mailboxes import grant_digest
from crm_sync.providers.nylas import NylasGateway
from crm_sync.providers.types import Grant, MessageHeaders
from email_sync import rules
from email_sync.models import LedgerEntry, Source

#: Before anything that the sandbox holds.
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_number = count(1)


# --- one rep with a mailbox to read ------------------------------------------------------------
@dataclass(frozen=True)
class Correspondence:
    """What a mailbox's Inbox and Sent hold, and which people in it are (flagged) contacts.

    `matching` are the provider's ids of the messages that will match.
    """

    grant: Grant
    folders: tuple[str, ...]
    messages: int
    matching: frozenset[str]
    flagged: tuple[str, ...]
    known: tuple[str, ...]

    @property
    def share(self) -> float:
        return len(self.matching) / self.messages


def look_through(gateway: NylasGateway, *, share: float) -> Correspondence:
    """Read the first mailbox once, and choose contacts so that this share of its mail matches."""
    grant = next(gateway.grants())
    by_role = {folder.role: folder.id for folder in gateway.folders(grant.id)}
    folders = (by_role["inbox"], by_role["sent"])
    own = normalise(grant.email)
    parties: dict[str, set[str]] = {}
    correspondents: set[str] = set()
    for folder in folders:
        for message in _listing(gateway, grant.id, folder):
            addresses = {a for group in rules.addresses_of(message).values() for a in group}
            parties[message.id] = addresses - {own}
            if any(normalise(sender.address) == own for sender in message.from_):
                correspondents |= {a for a in addresses if domain_of(a) != domain_of(own)}
    flagged, matching = _choose(parties, correspondents, wanted=int(share * len(parties)))
    return Correspondence(
        grant, folders, len(parties), matching, flagged, tuple(correspondents - {*flagged})
    )


def _listing(gateway: NylasGateway, grant_id: str, folder: str) -> Iterable[MessageHeaders]:
    token: str | None = None
    while True:
        page = gateway.message_page(
            grant_id, folder_id=folder, received_after=None, page_token=token
        )
        yield from page.messages
        token = page.next_page
        if token is None:
            return


def _choose(
    parties: dict[str, set[str]], candidates: set[str], *, wanted: int
) -> tuple[tuple[str, ...], frozenset[str]]:
    """Candidates, the busiest first, as long as no more than the wanted number of mails match."""
    mails: dict[str, set[str]] = {address: set() for address in candidates}
    for mail, addresses in parties.items():
        for address in addresses & candidates:
            mails[address].add(mail)
    chosen: list[str] = []
    matching: set[str] = set()
    for address in sorted(candidates, key=lambda a: (-len(mails[a]), a)):
        if len(matching | mails[address]) <= wanted:
            chosen.append(address)
            matching |= mails[address]
    return tuple(chosen), frozenset(matching)


def make_correspondents(correspondence: Correspondence) -> None:
    """The people of the mailbox as contacts, each with one address; nobody has flagged them."""
    customer, _ = Customer.objects.get_or_create(number="bench", name="Correspondents")
    people = {*correspondence.flagged, *correspondence.known}
    known = ContactAddress.objects.filter(address__in=people).values_list("address", flat=True)
    for address in sorted(people - {*known}):
        contact = Contact.objects.create(customer=customer, first_name="Known", last_name=address)
        contact.set_addresses([address])


def _free_grants() -> None:
    """No mailbox has a grant any more: one can belong to one user only."""
    Mailbox.objects.exclude(grant_digest="").update(grant_id="", grant_digest="")


def new_rep(correspondence: Correspondence) -> MailboxSync:
    """A rep who has read nothing yet and takes the mailbox over from the rep before.

    So each run stores new rows of a new user, and nothing has to be deleted in between.
    """
    grant = correspondence.grant
    _free_grants()
    user = User.objects.create(username=f"rep-{next(_number)}", email=grant.email)
    mailbox = Mailbox.objects.create(
        user=user,
        address=grant.email,
        authorised_address=normalise(grant.email),
        provider=grant.provider,
        email_enabled=True,
        grant_id=grant.id,
        authorised_at=LONG_AGO,
        sync_from=LONG_AGO,
    )
    contacts = Contact.objects.filter(addresses__address__in=correspondence.flagged)
    MyContact.objects.flag(user, contacts)
    return MailboxSync.objects.create(mailbox=mailbox, kind=MailboxSync.Kind.EMAIL)


# --- a company's years of data -----------------------------------------------------------------
def grow(*, contacts: int, entries: int) -> None:
    """Bring the database to so many contacts and ledger entries, those of other people."""
    users = _other_users(1_000)
    _add_contacts(contacts - Contact.objects.count(), users)
    _add_entries(entries - LedgerEntry.objects.count(), users)
    settle()


def settle() -> None:
    """Now, so that the database does not do it by itself in the middle of a measurement."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


def _other_users(number: int) -> list[int]:
    users = User.objects.filter(username__startswith="other-")
    if not users.exists():
        User.objects.bulk_create([User(username=f"other-{n}") for n in range(number)])
    return list(users.order_by("pk").values_list("pk", flat=True))


def _add_contacts(number: int, users: list[int]) -> None:
    """With one address each, ten to a customer; every tenth is flagged by somebody."""
    if number <= 0:
        return
    done = Contact.objects.count()
    numbers = _numbers(done + 1, done + number)
    customer = Customer.objects.create(number=f"template-{done}", name="Template")
    _copies(customer, _numbers(done + 1, done + number // 10 + 1), number="'F' || n")
    first = Customer.objects.get(number=f"F{done + 1}").pk
    contact = Contact.objects.create(customer=customer, last_name=f"Template {done}")
    own_customer = f"{first} + n % {number // 10 + 1}"
    _copies(contact, numbers, customer_id=own_customer, first_name="'Filler'", last_name="'F' || n")
    address = ContactAddress.objects.create(contact=contact, address=f"t{done}@template.example")
    start = Contact.objects.get(first_name="Filler", last_name=f"F{done + 1}").pk
    ids = _numbers(start, start + number - 1)
    domain = "'customer' || n / 10 || '.example'"
    _copies(address, ids, contact_id="n", address=f"'c' || n || '@' || {domain}", domain=domain)
    flag = MyContact.objects.create(user_id=users[0], contact=contact)
    tenth = _numbers(start // 10 + 1, (start + number - 1) // 10)
    _copies(flag, tenth, contact_id="n * 10", user_id=f"{users[0]} + n % {len(users)}")


def _add_entries(number: int, users: list[int]) -> None:
    if number <= 0:
        return
    done = LedgerEntry.objects.count()
    entry = LedgerEntry.objects.create(
        user_id=users[0],
        source=Source.NYLAS,
        message_key=f"template-{done}",
        message_id=f"<{'f' * 30}@example.com>",
        folder="INBOX",
        direction="received",
        outcome=LedgerEntry.Outcome.UNMATCHED,
        reason=LedgerEntry.Reason.UNKNOWN_ADDRESS,
        subject="An invented subject of the usual length",
        sent_at=datetime.now(UTC) - timedelta(days=200),
        from_address="somebody@elsewhere.example",
        to=["rep@northsound.example"],
        trace={"rule": "unknown-address", "addresses": [], "left_out": 0},
    )
    key = "md5(CAST(n AS varchar(20))) || substr(md5(CAST(-n AS varchar(20))), 1, 8)"
    _copies(
        entry,
        _numbers(done + 1, done + number),
        user_id=f"{users[0]} + n % {len(users)}",
        message_key=key,
        provider_id="substr(md5(CAST(n AS varchar(20))), 1, 16)",
    )


def _numbers(first: int, last: int) -> str:
    return (
        f"WITH RECURSIVE numbers(n) AS (SELECT {first} UNION ALL "  # noqa: S608
        f"SELECT n + 1 FROM numbers WHERE n < {last}) "
    )


def _copies(template: models.Model, numbers: str, **changes: str) -> None:
    """A copy of a stored row for each number `n`; `changes` are SQL expressions by column.

    By one statement, since a million rows through the ORM would take longer than all the rest.
    """
    fields = [field for field in template._meta.concrete_fields if not field.primary_key]
    names = [str(field.column) for field in fields]
    columns = [connection.ops.quote_name(name) for name in names]
    values = [
        changes.get(name, f"template.{column}") for name, column in zip(names, columns, strict=True)
    ]
    table = template._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"{numbers} INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)} "  # noqa: S608
            f"FROM numbers, {table} AS template WHERE template.id = {template.pk}"
        )


# --- many mailboxes ----------------------------------------------------------------------------
def make_mailboxes(grants: list[Grant], *, sync_from: datetime) -> list[int]:
    """A rep with an authorised mailbox for each grant; the ids of their email syncs."""
    _free_grants()
    now = datetime.now(UTC)
    first = next(_number)
    users = User.objects.bulk_create(
        [User(username=f"idle-{first}-{n}", email=g.email) for n, g in enumerate(grants)]
    )
    mailboxes = Mailbox.objects.bulk_create(
        [
            Mailbox(
                user=user,
                address=normalise(grant.email),
                authorised_address=normalise(grant.email),
                provider=grant.provider,
                email_enabled=True,
                grant_id=grant.id,
                grant_digest=grant_digest(grant.id),
                authorised_at=now,
                sync_from=sync_from,
            )
            for user, grant in zip(users, grants, strict=True)
        ]
    )
    syncs = MailboxSync.objects.bulk_create(
        [
            MailboxSync(mailbox=mailbox, kind=MailboxSync.Kind.EMAIL, next_due_at=now)
            for mailbox in mailboxes
        ]
    )
    return [sync.pk for sync in syncs]
