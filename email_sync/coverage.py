"""Coverage: whether the ledger has every message that the mailbox has, and healing where not.

A check lists every chosen folder from the start of the sync, headers only, and asks the ledger for
each message: one query a page, counts by day, no list of messages. It reads without the lease, so
that new mail does not wait for it. What is missing is brought in by an ordinary pass that lists
the folder whole, and then counted again.

Only what the mailbox has and the ledger lacks is a gap. The other way round is normal: messages
get deleted and moved. A folder that could not be listed to its end keeps its former figures.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from typing import TypeVar

from django.db import transaction
from django.db.models import Min, Sum
from django.utils import timezone
from msgspec import Struct, field

from accounts import leases
from accounts.folders import choose_folders
from accounts.models import Mailbox, MailboxSync
from accounts.outcomes import describe
from accounts.passes import PassReport
from accounts.rules import Problem
from accounts.system_settings import Settings
from crm_sync.providers.errors import (
    ItemGone,
    PermanentError,
    ProviderError,
    ReconnectRequired,
    TransientError,
    UnexpectedAnswer,
)
from crm_sync.providers.types import Folder, MailGateway, MessageHeaders, MessagePage
from email_sync import rules, store
from email_sync.message_keys import message_key
from email_sync.models import CoverageCheck, FolderCoverage, FolderCursor
from email_sync.processed import key_of
from email_sync.reading import Pass
from email_sync.sync import OVERLAP, sync_mailbox

logger = logging.getLogger(__name__)

#: Messages of one folder asked for one by one, where a list without headers leaves them unknown.
LOOK_UPS = 200
#: Seconds between two looks at a lease that another reader holds.
LOOK_AGAIN = 0.5

#: Called with a folder's name and the messages of a page.
Report = Callable[[str, int], None]


# --- counting: plain values ---------------------------------------------------------------------
@dataclass
class DayCount:
    """The messages of one day, and how many of them the ledger has."""

    in_mailbox: int = 0
    in_ledger: int = 0

    @property
    def missing(self) -> int:
        return self.in_mailbox - self.in_ledger


class FolderCount(Struct):
    """What was counted in one folder, by UTC day; None is the day of messages without a date.

    `checked_at` is the time before the first request: what arrives later is the next check's.
    """

    folder_id: str
    name: str
    checked_at: datetime
    days: dict[date | None, DayCount] = field(default_factory=dict)
    oldest_missing: datetime | None = None

    def add(self, received_at: datetime | None, *, is_in_ledger: bool) -> None:
        day = self.days.setdefault(utc_day(received_at), DayCount())
        day.in_mailbox += 1
        day.in_ledger += is_in_ledger
        if received_at is not None and not is_in_ledger:
            self.oldest_missing = min(filter(None, (self.oldest_missing, received_at)))

    @property
    def in_mailbox(self) -> int:
        return sum(day.in_mailbox for day in self.days.values())

    @property
    def in_ledger(self) -> int:
        return sum(day.in_ledger for day in self.days.values())

    @property
    def missing(self) -> int:
        return self.in_mailbox - self.in_ledger

    @property
    def gaps(self) -> list[tuple[date | None, DayCount]]:
        """The days of which something is missing, in order; undated messages last."""
        found = [(day, count) for day, count in self.days.items() if count.missing]
        return sorted(found, key=lambda gap: gap[0] or date.max)


def utc_day(moment: datetime | None) -> date | None:
    return moment.astimezone(UTC).date() if moment else None


def is_wanted(
    message: MessageHeaders, *, roles: Mapping[str, str], sync_from: datetime | None
) -> bool:
    """Whether a message belongs into the ledger: not a draft, not Trash or Junk, not too old."""
    is_too_old = bool(message.received_at and sync_from and message.received_at < sync_from)
    return not is_too_old and not rules.is_never_synced(message, roles=roles)


def is_ahead(received_at: datetime | None, *, checked_at: datetime, now: datetime) -> bool:
    """Whether a message arrived while the check ran; one with a date in the future did not."""
    return received_at is not None and checked_at < received_at <= now


def is_behind(count: FolderCount, *, read_up_to: datetime | None) -> bool:
    """Whether something is missing that the next pass would not reach back to.

    A folder that was not read up to anywhere is listed whole anyway.
    """
    if read_up_to is None:
        return False
    reached = read_up_to - OVERLAP
    has_undated = None in dict(count.gaps)
    return has_undated or (count.oldest_missing is not None and count.oldest_missing < reached)


def first_day_to_recount(count: FolderCount) -> date | None:
    """The first day with a gap; None where only a listing of the whole folder can tell."""
    days = [day for day, _ in count.gaps]
    return None if None in days else min(filter(None, days), default=None)


def count_healed(before: FolderCount, after: FolderCount) -> int:
    """How many missing messages came in. One that left the mailbox meanwhile is none of them."""
    return sum(
        max(0, min(gap.missing - now.missing, now.in_ledger - gap.in_ledger))
        for day, gap in before.gaps
        for now in [after.days.get(day, DayCount())]
    )


# --- counting: the mailbox and the ledger --------------------------------------------------------
class Check:
    """One check of a mailbox; filled on the way, so that a failed one is told of, too.

    `before` holds what was counted first and `counts` what is known in the end, by folder. `error`
    ended the check; `problems` each kept one folder from being counted.
    """

    def __init__(
        self,
        sync: MailboxSync,
        *,
        gateway: MailGateway,
        is_time_up: Callable[[], bool],
        report: Report,
    ) -> None:
        self.sync = sync
        self.mailbox: Mailbox = sync.mailbox
        self.gateway = gateway
        self.is_time_up = is_time_up
        self.report = report
        self.roles: dict[str, str] = {}
        self.before: dict[str, FolderCount] = {}
        self.counts: dict[str, FolderCount] = {}
        self.problems: list[Problem] = []
        self.error: Exception | None = None
        self.healing: PassReport | None = None

    @property
    def missing(self) -> int:
        return sum(count.missing for count in self.counts.values())

    @property
    def healed(self) -> int:
        return sum(
            count_healed(before, self.counts[key])
            for key, before in self.before.items()
            if self.counts[key] is not before
        )

    @property
    def is_counted(self) -> bool:
        """Whether every folder was listed to its end."""
        return self.error is None and not self.problems

    @property
    def is_complete(self) -> bool:
        """Whether the ledger has everything, as far as anybody can know."""
        return self.is_counted and not self.missing


class _TimeIsUp(Exception):
    """The folder could not be listed to its end in the time there is."""


def check_mailbox(
    sync: MailboxSync,
    *,
    gateway: MailGateway,
    settings: Settings,
    is_time_up: Callable[[], bool] = lambda: False,
    patience: float = 0,
    report: Report = lambda name, listed: None,
) -> Check:
    """Count, heal what is missing through the ordinary pass, and count that again.

    For as long as `patience` (seconds) the pass waits for another reader to end. No exception gets
    through: the answer's `error` has it, and the next pass finds out for itself what it means.
    """
    check = Check(sync, gateway=gateway, is_time_up=is_time_up, report=report)
    started_at = timezone.now()
    CoverageCheck.objects.update_or_create(
        mailbox=check.mailbox, defaults={"tried_at": started_at, "queued_at": None}
    )
    try:
        _count_mailbox(check)
        if check.missing:
            check.healing = _heal(check, settings=settings, patience=patience)
            if check.healing.outcome in _READ:
                gappy = [count for count in check.counts.values() if count.missing]
                _each(check, gappy, _recount_folder)
    except Exception as caught:
        check.error = caught
        if not isinstance(caught, ProviderError):
            logger.exception("the check of mailbox %s failed", check.mailbox.pk)
    _conclude(check, started_at=started_at)
    return check


def _count_mailbox(check: Check) -> None:
    folders = check.gateway.folders(check.mailbox.grant_id)
    check.roles = {folder.id: folder.role for folder in folders}
    choice = choose_folders(
        folders, names=check.mailbox.folder_names, sent_name=check.mailbox.sent_folder_name
    )
    check.problems.extend(choice.problems)
    check.mailbox.coverage.exclude(folder_id__in=[f.id for f in choice.selected]).delete()
    _each(check, _longest_unchecked_first(check.mailbox, choice.selected), _count_folder)
    check.before = dict(check.counts)


def _longest_unchecked_first(mailbox: Mailbox, folders: Sequence[Folder]) -> list[Folder]:
    """So that each folder has its turn where the time is never enough for all."""
    rows = mailbox.coverage.order_by().values_list("folder_id").annotate(Min("checked_at"))
    checked = dict(rows)
    return sorted(folders, key=lambda f: checked.get(f.id, datetime.min.replace(tzinfo=UTC)))


_Item = TypeVar("_Item", Folder, FolderCount)


def _each(
    check: Check, items: Iterable[_Item], count: Callable[[Check, _Item], FolderCount]
) -> None:
    """Count each folder; one that fails does not keep the others from being counted.

    What concerns the whole mailbox is raised: a rejected grant, a request to slow down.
    """
    for item in items:
        try:
            counted = count(check, item)
            _store(check.mailbox, counted)
        except _TimeIsUp:
            cause = "The time was not enough to list it to the end. The next check begins with it."
            check.problems.append(Problem(name=item.name, cause=cause))
        except ProviderError as error:
            if isinstance(error, ReconnectRequired) or error.status == 429:
                raise
            check.problems.append(Problem(name=item.name, cause=str(error)))
        else:
            check.counts[counted.folder_id] = counted


def _count_folder(check: Check, folder: Folder) -> FolderCount:
    count = FolderCount(folder_id=folder.id, name=folder.name, checked_at=timezone.now())
    return _count(check, count, since=check.mailbox.sync_from)


def _recount_folder(check: Check, former: FolderCount) -> FolderCount:
    """Count again from the first day with a gap on; the days before stay as they are."""
    first_day = first_day_to_recount(former)
    count = FolderCount(former.folder_id, former.name, former.checked_at)
    if first_day is None:
        return _count(check, count, since=check.mailbox.sync_from)
    since = datetime.combine(first_day, time_of_day.min, UTC)
    is_kept = {day: day is None or day < first_day for day in former.days}
    count.days = {day: former.days[day] for day, kept in is_kept.items() if kept}
    return _count(check, count, since=since, is_undated_kept=True)


def _count(
    check: Check, count: FolderCount, *, since: datetime | None, is_undated_kept: bool = False
) -> FolderCount:
    """Add the folder's messages since then, page by page; one query a page."""
    look_ups = LOOK_UPS
    start = max(filter(None, (since, check.mailbox.sync_from)), default=None)
    for page in _pages(check, count, received_after=start):
        now = timezone.now()
        listed = [
            message
            for message in _listed(check, page)
            if not is_ahead(message.received_at, checked_at=count.checked_at, now=now)
            and not (is_undated_kept and message.received_at is None)
            and not (start and message.received_at and message.received_at < start)
        ]
        known = _known(check.mailbox, listed)
        unknown = [message for message in listed if not message.is_in(known)]
        nameless = [message for message in unknown if not message.has_headers][:look_ups]
        look_ups -= len(nameless)
        gone = _look_up(check, nameless, known)
        for message in listed:
            if message.provider_id not in gone:
                count.add(message.received_at, is_in_ledger=message.is_in(known))
        check.report(count.name, len(listed))
    return count


def _pages(
    check: Check, count: FolderCount, *, received_after: datetime | None
) -> Iterator[MessagePage]:
    """The folder's pages to the last one. A page that failed raises: it is not the end."""
    tokens: set[str | None] = {None}
    token: str | None = None
    while True:
        if check.is_time_up():
            raise _TimeIsUp
        page = check.gateway.message_page(
            check.mailbox.grant_id,
            folder_id=count.folder_id,
            # Exclusive, as in the pass.
            received_after=received_after - timedelta(seconds=1) if received_after else None,
            page_token=token,
        )
        yield page
        token = page.next_page
        if token is None:
            return
        if token in tokens:
            raise TransientError(
                "The provider's list of messages goes round in a circle.", code="repeated-cursor"
            )
        tokens.add(token)


class _Listed(Struct, frozen=True, gc=False):
    """One message of a page: what the ledger could know it by."""

    key: str
    provider_id: str
    has_headers: bool
    received_at: datetime | None

    def is_in(self, known: Mapping[str, object]) -> bool:
        """Whether the ledger has an entry for it; a failed one counts, it is told of elsewhere."""
        return self.key in known or (not self.has_headers and self.provider_id in known)


def _listed(check: Check, page: MessagePage) -> Iterator[_Listed]:
    mailbox = check.mailbox
    for message in page.messages:
        if is_wanted(message, roles=check.roles, sync_from=mailbox.sync_from):
            key = _key_of(message, mailbox)
            yield _Listed(key, message.id, message.has_headers, message.received_at)
    for item in page.unreadable:
        key = message_key(
            "",
            sender="",
            subject="",
            provider_id=item.id,
            mailbox_address=mailbox.authorised_address,
        )
        yield _Listed(key, item.id, has_headers=False, received_at=None)


def _key_of(message: MessageHeaders, mailbox: Mailbox) -> str:
    addresses = rules.addresses_of(message)
    return key_of(message, addresses=addresses, mailbox_address=mailbox.authorised_address)


def _known(mailbox: Mailbox, listed: Sequence[_Listed]) -> dict[str, store.KnownEntry]:
    if not listed:
        return {}
    return store.known_entries(
        mailbox.user_id,
        keys=[message.key for message in listed],
        provider_ids=[m.provider_id for m in listed if m.provider_id and not m.has_headers],
    )


def _look_up(
    check: Check, nameless: Sequence[_Listed], known: dict[str, store.KnownEntry]
) -> set[str]:
    """Ask for messages that a list without headers leaves unknown: copies, and those that moved.

    The ledger knows a match by its Message-ID, under the provider's id of one copy only. Adds to
    `known` what the ledger turns out to have; returns the ids that are no longer in the mailbox.
    """
    gone: set[str] = set()
    keys: dict[str, str] = {}
    for message in nameless:
        try:
            headers = check.gateway.message_headers(check.mailbox.grant_id, message.provider_id)
        except ItemGone:
            gone.add(message.provider_id)
        except (PermanentError, UnexpectedAnswer):
            continue
        else:
            keys[message.provider_id] = _key_of(headers, check.mailbox)
    entries = store.known_entries(check.mailbox.user_id, keys=keys.values()) if keys else {}
    known.update({pid: entries[key] for pid, key in keys.items() if key in entries})
    return gone


# --- storing -------------------------------------------------------------------------------------
def _store(mailbox: Mailbox, count: FolderCount) -> None:
    """Replace the folder's rows. Two checks at once take turns, and the later one stands."""
    rows = [
        FolderCoverage(
            mailbox=mailbox,
            folder_id=count.folder_id,
            name=count.name[:500],
            day=day,
            in_mailbox=found.in_mailbox,
            in_ledger=found.in_ledger,
            checked_at=count.checked_at,
        )
        for day, found in count.days.items()
    ]
    with transaction.atomic():
        same = Mailbox.objects.filter(pk=mailbox.pk, authorised_address=mailbox.authorised_address)
        if not same.select_for_update().exists():
            raise PermanentError("The mailbox was connected anew meanwhile.", code="other-mailbox")
        FolderCoverage.objects.filter(mailbox=mailbox, folder_id=count.folder_id).delete()
        FolderCoverage.objects.bulk_create(rows)


def _conclude(check: Check, *, started_at: datetime) -> None:
    problems = [{"name": p.name, "cause": p.cause} for p in check.problems]
    if check.error is not None:
        problems.append({"name": "", "cause": describe(check.error)})
    row = CoverageCheck.objects.filter(mailbox=check.mailbox)
    row.update(problems=problems)
    is_waiting = check.healing is not None and check.healing.outcome not in _READ
    if check.is_counted and not is_waiting:
        row.update(finished_at=started_at)


# --- healing -------------------------------------------------------------------------------------
#: How a pass can end that really read; else somebody else was reading, or nothing was read.
_READ = frozenset({"complete", "partial"})


def _heal(check: Check, *, settings: Settings, patience: float) -> PassReport:
    """Ordinary passes until all was read, the first of them over the whole of folders with gaps."""
    counts = {count.folder_id: count for count in check.counts.values() if count.missing}

    def prepare(run: Pass) -> None:
        _forget_how_far(run, counts)
        counts.clear()

    waiting_since = time.monotonic()
    while True:
        answer = sync_mailbox(
            check.sync,
            gateway=check.gateway,
            settings=settings,
            report=lambda cursor, listed: check.report(cursor.name, listed),
            prepare=prepare,
        )
        if answer.outcome in {None, "abandoned"}:
            if time.monotonic() - waiting_since >= patience:
                return answer
            time.sleep(LOOK_AGAIN)
            check.sync = _reloaded(check.sync)
        elif answer.result.is_finished or check.is_time_up():
            return answer


def _forget_how_far(run: Pass, counts: Mapping[str, FolderCount]) -> None:
    """Begin folders anew of which the pass would not reach back to what is missing.

    Safe at any time: a pass that dies after this leaves a folder that the next one lists whole.
    """
    with transaction.atomic():
        leases.confirm(run.sync, run.holder)
        cursors = FolderCursor.objects.filter(mailbox=run.mailbox, folder_id__in=counts)
        behind = [c.pk for c in cursors if is_behind(counts[c.folder_id], read_up_to=c.read_up_to)]
        FolderCursor.objects.filter(pk__in=behind).update(
            read_up_to=None, page_token="", listing_started_at=None, listing_newest=None
        )


def _reloaded(sync: MailboxSync) -> MailboxSync:
    return MailboxSync.objects.select_related("mailbox__user").get(pk=sync.pk)


# --- for screens ---------------------------------------------------------------------------------
@dataclass(frozen=True)
class Coverage:
    """“1,204 of 1,204”, as last counted. `checked_at` is the oldest of its folders' dates."""

    in_mailbox: int
    in_ledger: int
    checked_at: datetime | None
    has_failed: bool = False

    @property
    def missing(self) -> int:
        return self.in_mailbox - self.in_ledger

    @property
    def is_complete(self) -> bool:
        return not self.missing

    @property
    def words(self) -> str:
        return f"{self.in_ledger:,} of {self.in_mailbox:,}"


@dataclass(frozen=True)
class FolderFigure(Coverage):
    """One folder's part; `gaps` are the rows of the days of which something is missing."""

    name: str = ""
    gaps: tuple[FolderCoverage, ...] = ()


def coverage_by_mailbox(mailboxes: Iterable[Mailbox]) -> dict[int, Coverage]:
    """The totals by mailbox's key: one query. Mailboxes that were never counted are left out."""
    checks = CoverageCheck.objects.filter(mailbox__in=[mailbox.pk for mailbox in mailboxes])
    totals = checks.values_list(
        "mailbox",
        Sum("mailbox__coverage__in_mailbox", default=0),
        Sum("mailbox__coverage__in_ledger", default=0),
        Min("mailbox__coverage__checked_at"),
        "finished_at",
        "problems",
    )
    return {
        mailbox: Coverage(in_mailbox, in_ledger, oldest or finished_at, has_failed=bool(problems))
        for mailbox, in_mailbox, in_ledger, oldest, finished_at, problems in totals
        if oldest or finished_at
    }


def folder_figures(mailbox: Mailbox) -> list[FolderFigure]:
    """The same by folder, with the days of which something is missing: one query."""
    by_folder: dict[str, list[FolderCoverage]] = {}
    for row in mailbox.coverage.order_by("name", "folder_id", "day"):
        by_folder.setdefault(row.folder_id, []).append(row)
    return [
        FolderFigure(
            in_mailbox=sum(row.in_mailbox for row in rows),
            in_ledger=sum(row.in_ledger for row in rows),
            checked_at=min(row.checked_at for row in rows),
            name=rows[0].name,
            gaps=tuple(row for row in rows if row.missing),
        )
        for rows in by_folder.values()
    ]
