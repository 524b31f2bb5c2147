"""One pass over the monitored Gmail mailbox: list → fetch → decide → store → label.

What makes it safe to interrupt at any instruction:

* A lease keeps a second reader away; every transaction begins by confirming it.
* `history_id` is Gmail's mark: everything up to it is in the ledger. It moves in the transaction
  that stores the last message found, and only to where the history stood when the first page of the
  listing was made. Before that, a listing that is cut off is simply made again.
* Messages are known by Gmail's id, and found again they change nothing. Where the mark is unknown
  or too old for Gmail, the whole mailbox is listed (ids only), which closes any gap.
* The label is put on after the commit. Ids that do not carry it yet wait on the row. The label is
  for people who look at the mailbox; it is not what prevents doubles.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

from django.db import transaction
from django.utils import timezone
from msgspec import Struct

from accounts import leases, passes
from accounts.outcomes import describe
from accounts.passes import Lease, PassReport
from accounts.system_settings import Settings
from crm_sync.providers.errors import (
    ApplicationRejected,
    HistoryExpired,
    ItemGone,
    PermanentError,
    ProviderError,
    ReconnectRequired,
    TransientError,
    UnexpectedAnswer,
)
from crm_sync.providers.types import IntakeGateway, IntakePage
from email_sync import store
from email_sync.intake_reading import Desk, Draft, decide, failed, is_hidden, read_safely
from email_sync.intake_rules import Intake
from email_sync.models import IntakeConnection, LedgerEntry
from email_sync.models.intake import IntakeConnectionQuerySet
from email_sync.notices import tell_of_rejection
from email_sync.people import all_people
from email_sync.processed import Processed
from email_sync.store import MAX_ATTEMPTS

#: What a person who looks at the mailbox sees on messages that the CRM has read.
LABEL = "CRM logged"
#: Messages held in memory and stored in one transaction, and of those the ones fetched at once.
BATCH = 32
PARALLEL = 4
#: Ids put on the label in one request, and remembered for it at most.
LABELLED_AT_ONCE = 500
MAX_UNLABELLED = 10_000
#: Messages that could not be read which one pass asks for again.
RETRIES = 40


class IntakeGrant:
    """The connection's credentials: the admins are told, once, that Google refused them."""

    def __init__(self, connection: IntakeConnection) -> None:
        self.connection = connection

    def accept(self) -> None:
        self._same().exclude(rejected_at=None).update(rejected_at=None, rejection="")

    def reject(self, error: ReconnectRequired) -> None:
        rejection = {"rejected_at": timezone.now(), "rejection": describe(error)[:300]}
        if self._same().filter(rejected_at=None).update(**rejection):
            tell_of_rejection(self.connection)

    def _same(self) -> IntakeConnectionQuerySet:
        """The row, unless it was authorised anew while we read."""
        same = IntakeConnection.objects.filter(pk=self.connection.pk)
        return same.filter(authorised_at=self.connection.authorised_at)


class Pass:
    """Who reads which connection, with what; the lease's `result` is filled on the way."""

    def __init__(
        self,
        connection: IntakeConnection,
        lease: Lease,
        *,
        gateway: IntakeGateway,
        settings: Settings,
        report: Callable[[int], None],
    ) -> None:
        self.connection = connection
        self.gateway = gateway
        self.settings = settings
        self.report = report
        self.holder = lease.holder
        self.started_at = lease.started_at
        self.is_time_up = lease.is_time_up
        self.result = lease.result

    @cached_property
    def desk(self) -> Desk:
        """Loaded once there is something to judge: most passes find nothing."""
        return desk_of(self.connection, self.settings)


def desk_of(connection: IntakeConnection, settings: Settings) -> Desk:
    intake = Intake(
        address=connection.address,
        bcc=settings.bcc,
        fwd=settings.fwd,
        automatic_forwarding=settings.automatic_forwarding,
        company_domains=frozenset(settings.company_domains),
    )
    return Desk(intake_id=connection.pk, intake=intake, people=all_people())


def is_wanted(settings: Settings) -> bool:
    """Whether the admins want the intake to be read at all."""
    return settings.processing and (settings.bcc or settings.fwd)


def sync_intake(
    connection: IntakeConnection,
    *,
    gateway: IntakeGateway,
    settings: Settings,
    report: Callable[[int], None] = lambda read: None,
) -> PassReport:
    """One pass, under the connection's lease; see `accounts.passes`.

    `report` is called with the number of messages after each batch.
    """

    def read(lease: Lease) -> None:
        run = Pass(connection, lease, gateway=gateway, settings=settings, report=report)
        read_intake(run)

    return passes.run(connection, read, grant=IntakeGrant(connection), settings=settings)


def read_intake(run: Pass) -> None:
    """Read what is new, oldest first. Raises the ProviderError that ended it early."""
    _retry_failed(run)
    listing = _list(run)
    _begin(run)
    *batches, last = list(_batches(listing.message_ids)) or [[]]
    for batch in batches:
        if run.is_time_up():
            run.result.is_finished = False
            break
        _read(run, batch)
    else:
        _read(run, last, mark=listing.mark)
        run.result.is_backfilled = True
    _label(run)


# --- listing --------------------------------------------------------------------------------------
class Listing(Struct, frozen=True):
    """Messages that the ledger does not have, oldest first, and the mark that they lead up to."""

    message_ids: list[str]
    mark: str


def _list(run: Pass) -> Listing:
    """What was added since the mark; the whole mailbox where there is none, or none that helps.

    The mark is taken before the first page: what arrives while we list comes again next time.
    """
    mark = run.connection.history_id
    if mark:
        try:
            found, first = _pages(run, lambda token: _history_page(run, mark, token))
            return Listing(found, first or mark)
        except HistoryExpired:
            pass
    mark = run.gateway.profile().history_id
    found, first = _pages(run, lambda token: run.gateway.message_page(page_token=token))
    return Listing(found[::-1], mark or first)


def _history_page(run: Pass, mark: str, token: str | None) -> IntakePage:
    return run.gateway.history_page(mark, page_token=token)


def _pages(run: Pass, page_of: Callable[[str | None], IntakePage]) -> tuple[list[str], str]:
    """The ids of all pages that the ledger lacks, one query a page, and the first page's mark."""
    found: dict[str, None] = {}
    token: str | None = None
    first_mark: str | None = None
    followed: set[str] = set()
    while first_mark is None or token is not None:
        try:
            page = page_of(token)
        except HistoryExpired:
            raise
        except PermanentError as error:
            if error.code != "page-token-refused":
                raise
            raise TransientError("Google's list changed while it was read.") from None
        first_mark = page.history_id if first_mark is None else first_mark
        run.result.seen += len(page.message_ids)
        known = _known(run.connection, page.message_ids)
        found.update(dict.fromkeys(id for id in page.message_ids if id not in known))
        token = page.next_page
        if token in followed:
            raise TransientError(
                "Google's list of messages goes round in a circle.", code="repeated-cursor"
            )
        followed.add(token or "")
    return list(found), first_mark


def _known(connection: IntakeConnection, message_ids: Sequence[str]) -> set[str]:
    if not message_ids:
        return set()
    entries = LedgerEntry.objects.filter(intake=connection, provider_id__in=message_ids)
    return set(entries.order_by().values_list("provider_id", flat=True))


def _begin(run: Pass) -> None:
    """The mailbox could be listed: from now on it is being read for the first time."""
    if run.connection.listed_at is None:
        with transaction.atomic():
            leases.confirm(run.connection, run.holder)
            run.connection.listed_at = run.started_at
            run.connection.save(update_fields=["listed_at"])


def _batches(message_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(message_ids), BATCH):
        yield message_ids[start : start + BATCH]


# --- reading --------------------------------------------------------------------------------------
def _read(run: Pass, message_ids: Sequence[str], *, mark: str | None = None) -> None:
    """Fetch, decide and store a batch; the last one moves the mark in the same transaction.

    Raises the first error that concerns more than one message, after storing the others.
    """
    if not message_ids and mark in {None, run.connection.history_id}:
        return
    answers = _fetch(run, message_ids) if message_ids else []
    drafts = [answer for answer in answers if isinstance(answer, Draft)]
    items = decide(drafts, desk=run.desk, settings=run.settings) if drafts else []
    items += [answer for answer in answers if isinstance(answer, Processed)]
    error = next((answer for answer in answers if isinstance(answer, ProviderError)), None)
    with transaction.atomic():
        leases.confirm(run.connection, run.holder)
        outcomes = store.store(items, now=run.started_at)
        _want_label(run.connection, [draft.headers.id for draft in drafts])
        if mark is not None and error is None:
            run.connection.history_id = mark
        run.connection.save(update_fields=["history_id", "unlabelled"])
    run.result.count(outcomes)
    run.report(len(message_ids))
    if error is not None:
        raise error


def _fetch(run: Pass, message_ids: Sequence[str]) -> list[Draft | Processed | ProviderError | None]:
    """Each message as the rules judge it, in order; see `_fetch_one`."""
    desk = run.desk  # loaded here: the threads have no database connection
    with ThreadPoolExecutor(max_workers=PARALLEL) as pool:
        return list(pool.map(lambda id: _fetch_one(run.gateway, id, desk), message_ids))


def _fetch_one(
    gateway: IntakeGateway, message_id: str, desk: Desk, *, attempts: int = 0
) -> Draft | Processed | ProviderError | None:
    """A failed entry for one that cannot be read, an error where the whole pass must wait.

    None for one that is gone, or lies in Spam or Trash: nothing is known of it.
    """
    try:
        message = gateway.message(message_id)
    except ItemGone:
        return None
    except ApplicationRejected as error:
        return error
    except (PermanentError, UnexpectedAnswer) as error:
        return failed(message_id, str(error), attempts=attempts + 1, desk=desk)
    except ProviderError as error:
        return error
    if is_hidden(message):
        return None
    draft = read_safely(message, desk=desk)
    if isinstance(draft, str):
        return failed(message_id, draft, attempts=attempts + 1, desk=desk)
    return draft


def _retry_failed(run: Pass) -> None:
    """Ask again for messages that could not be read before, until MAX_ATTEMPTS."""
    entries = LedgerEntry.objects.filter(
        intake=run.connection, outcome=LedgerEntry.Outcome.FAILED, attempts__lt=MAX_ATTEMPTS
    )
    for entry in entries.order_by("pk")[:RETRIES]:
        answer = _fetch_one(run.gateway, entry.provider_id, run.desk, attempts=entry.attempts)
        if isinstance(answer, ProviderError):
            raise answer
        with transaction.atomic():
            leases.confirm(run.connection, run.holder)
            if isinstance(answer, Draft):
                [item] = decide([answer], desk=run.desk, settings=run.settings)
                run.result.count(_make_good(entry, item, run))
            else:
                entry.attempts = answer.attempts if answer else MAX_ATTEMPTS
                cause = answer.failure if answer else "It is no longer in the mailbox."
                entry.trace = {**entry.trace, "cause": cause}
                entry.save(update_fields=["attempts", "trace"])


def _make_good(entry: LedgerEntry, item: Processed, run: Pass) -> Counter[str]:
    """Write into a failed entry what became of its message after all."""
    try:
        outcomes = store.settle(entry, item, now=run.started_at)
    except store.AlreadyThere:
        # The same message came under another id meanwhile: nothing was known of this one.
        entry.delete()
        return Counter()
    _want_label(run.connection, [entry.provider_id])
    run.connection.save(update_fields=["unlabelled"])
    return outcomes


# --- the label ------------------------------------------------------------------------------------
def _want_label(connection: IntakeConnection, message_ids: Sequence[str]) -> None:
    """Remember, not yet saved, which messages the label is to be put on."""
    connection.unlabelled = [*connection.unlabelled, *message_ids][-MAX_UNLABELLED:]


def _label(run: Pass) -> None:
    """Mark in Gmail what is stored. That it cannot be done fails no pass; the screens say so."""
    connection = run.connection
    while connection.unlabelled:
        batch = connection.unlabelled[:LABELLED_AT_ONCE]
        try:
            run.gateway.label(batch, name=LABEL)
        except ProviderError as error:
            failure = describe(error)[:300]
        else:
            failure = ""
            connection.unlabelled = connection.unlabelled[len(batch) :]
        with transaction.atomic():
            leases.confirm(connection, run.holder)
            connection.label_failure = failure
            connection.save(update_fields=["unlabelled", "label_failure"])
        if failure:
            return
