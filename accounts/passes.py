"""Running one pass under its lease and writing down how it went, for email and calendar alike."""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from django.conf import settings as django_settings
from django.db import transaction
from django.utils import timezone
from msgspec import Struct, field

from accounts import leases, notices, outcomes
from accounts.models import MailboxSync
from accounts.models.mailboxes import Run, Schedule
from accounts.rules import Failure, Problem
from accounts.system_settings import Settings
from crm_sync.providers.errors import ReconnectRequired

logger = logging.getLogger(__name__)

Outcome = Run.Outcome


class PassResult(Struct):
    """What a pass saw and did; filled while it runs, so that a failed one is counted too.

    `is_finished` is False where the time was up before the end.
    """

    seen: int = 0
    matched: int = 0
    unmatched: int = 0
    failed: int = 0
    problems: list[Problem] = field(default_factory=list)
    is_finished: bool = True
    is_backfilled: bool = False

    def count(self, by_outcome: Mapping[str, int]) -> None:
        """Add new ledger entries, by outcome; excluded ones count as unmatched."""
        self.matched += by_outcome.get("matched", 0)
        self.failed += by_outcome.get("failed", 0)
        self.unmatched += by_outcome.get("unmatched", 0) + by_outcome.get("excluded", 0)


class Lease(Struct, frozen=True):
    """What a reader needs to know of the pass it runs in."""

    holder: str
    started_at: datetime
    is_time_up: Callable[[], bool]
    result: PassResult


class PassReport(Struct, frozen=True):
    """How a pass went. `error` is why it failed; both are None where somebody else was reading."""

    outcome: str | None
    result: PassResult
    error: Exception | None = None


class Grant(Protocol):
    """The leave by which a pass reads: it hears whether the provider still accepts it."""

    def accept(self) -> None: ...

    def reject(self, error: ReconnectRequired) -> None: ...


class MailboxGrant:
    """A user's mailbox: the user and the admins are told, once, that it was refused."""

    def __init__(self, sync: MailboxSync) -> None:
        self.mailbox = sync.mailbox

    def accept(self) -> None:
        outcomes.accept_grant(self.mailbox)

    def reject(self, error: ReconnectRequired) -> None:
        if error.code == "calendar-scopes-missing":
            return  # Mail may be read as before: this is the calendar side's alone.
        if outcomes.record_rejection(self.mailbox, error, now=timezone.now()):
            notices.tell_of_rejection(self.mailbox)


def run_pass(sync: MailboxSync, read: Callable[[Lease], None], *, settings: Settings) -> PassReport:
    """A pass over one side of a mailbox: see `run`."""
    return run(sync, read, grant=MailboxGrant(sync), settings=settings)


def run(
    row: Schedule, read: Callable[[Lease], None], *, grant: Grant, settings: Settings
) -> PassReport:
    """Claim the lease, read, and write down the outcome; no exception of `read` gets through.

    `read` fills the lease's result. The time is taken before the first request, so that what
    arrives during the pass belongs to the next one.
    """
    holder = leases.claim(row)
    result = PassResult()
    if holder is None:
        return PassReport(outcome=None, result=result)
    started_at = timezone.now()
    record = _begin(row, started_at)
    lease = Lease(holder, started_at, _stopwatch(), result)
    error: Exception | None = None
    try:
        with leases.kept_alive(row, holder):
            read(lease)
    except leases.LeaseLost:
        logger.warning("pass over %s %s gave way to another reader", row._meta.label, row.pk)
        return _abandon(record, result)
    except Exception as caught:
        error = caught
        if outcomes.classify(caught) == Failure.BUG:
            logger.exception("pass over %s %s failed", row._meta.label, row.pk)
    try:
        outcome = _conclude(row, holder, record, result, error, grant=grant, settings=settings)
    except leases.LeaseLost:
        return _abandon(record, result)
    if isinstance(error, ReconnectRequired):
        grant.reject(error)
    return PassReport(outcome=outcome, result=result, error=error)


def _stopwatch() -> Callable[[], bool]:
    """Whether a task has run so long that it should leave the rest to its successor."""
    end = time.monotonic() + django_settings.LONGEST_TASK_SECONDS
    return lambda: time.monotonic() > end


def _runs(row: Schedule) -> Any:
    """The row's runs, whatever kind of schedule it is."""
    return row.runs  # type: ignore[attr-defined]


def _begin(row: Schedule, started_at: datetime) -> Run:
    _runs(row).filter(outcome=Outcome.RUNNING).update(
        outcome=Outcome.ABANDONED, finished_at=started_at
    )
    run: Run = _runs(row).create(sync=row, started_at=started_at)
    return run


def _conclude(
    row: Schedule,
    holder: str,
    run: Run,
    result: PassResult,
    error: Exception | None,
    *,
    grant: Grant,
    settings: Settings,
) -> str:
    """Write the evidence and give the lease back in one transaction. Raises LeaseLost."""
    with transaction.atomic():
        leases.confirm(row, holder)
        wish = _wish(row)
        row.problems = [{"name": p.name, "cause": p.cause} for p in result.problems]
        if result.is_backfilled and row.backfilled_at is None:
            row.backfilled_at = run.started_at
        if error is not None:
            outcome = Outcome.FAILED
            outcomes.note_failure(row, error, now=timezone.now(), settings=settings)
        elif not result.is_finished:
            outcome = Outcome.PARTIAL
            row.next_due_at = timezone.now()
        else:
            outcome = Outcome.PARTIAL if result.problems else Outcome.COMPLETE
            outcomes.note_success(row, started_at=run.started_at, settings=settings)
            grant.accept()
        if wish is not None:
            row.next_due_at, row.stopped_at = wish, None
        row.lease_holder, row.lease_until = "", None
        row.save(update_fields=outcomes.EVIDENCE)
        _finish(run, outcome, result, row)
    return outcome


def _wish(row: Schedule) -> datetime | None:
    """When somebody asked for the next pass (“Sync now”, a new authorisation) during this one."""
    former = row.next_due_at
    row.refresh_from_db(fields=["stopped_at", "failure_count", "failure_code", "next_due_at"])
    return row.next_due_at if row.next_due_at != former else None


def _finish(run: Run, outcome: str, result: PassResult, row: Schedule) -> None:
    """Close the run's row; an idle pass after an idle pass only counts up the earlier row."""
    run.outcome, run.finished_at = outcome, timezone.now()
    run.seen, run.matched = result.seen, result.matched
    run.unmatched, run.failed = result.unmatched, result.failed
    run.failure_code, run.failure_text = row.failure_code, row.failure_text
    is_idle = outcome == Outcome.COMPLETE and not (run.matched + run.unmatched + run.failed)
    former = _runs(row).exclude(pk=run.pk).order_by("-started_at").first() if is_idle else None
    if (
        former is not None
        and former.outcome == Outcome.COMPLETE
        and not (former.matched + former.unmatched + former.failed)
        and run.started_at - former.started_at < timedelta(days=1)
    ):
        former.passes += 1
        former.finished_at = run.finished_at
        former.save(update_fields=["passes", "finished_at"])
        run.delete()
        return
    run.save()


def _abandon(run: Run, result: PassResult) -> PassReport:
    type(run)._default_manager.filter(pk=run.pk).update(
        outcome=Outcome.ABANDONED, finished_at=timezone.now(), seen=result.seen
    )
    return PassReport(outcome=Outcome.ABANDONED, result=result)
