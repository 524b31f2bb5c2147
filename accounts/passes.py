"""Running one pass under its lease and writing down how it went, for email and calendar alike."""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from django.conf import settings as django_settings
from django.db import transaction
from django.utils import timezone
from msgspec import Struct, field

from accounts import leases, notices, outcomes
from accounts.models import MailboxSync, SyncRun
from accounts.rules import Failure, Problem
from accounts.system_settings import Settings
from crm_sync.providers.errors import ReconnectRequired

logger = logging.getLogger(__name__)

Outcome = SyncRun.Outcome


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


def run_pass(sync: MailboxSync, read: Callable[[Lease], None], *, settings: Settings) -> PassReport:
    """Claim the lease, read, and write down the outcome; no exception of `read` gets through.

    `read` fills the lease's result. The time is taken before the first request, so that what
    arrives during the pass belongs to the next one.
    """
    holder = leases.claim(sync)
    result = PassResult()
    if holder is None:
        return PassReport(outcome=None, result=result)
    started_at = timezone.now()
    run = _begin(sync, started_at)
    lease = Lease(holder, started_at, _stopwatch(), result)
    error: Exception | None = None
    try:
        with leases.kept_alive(sync, holder):
            read(lease)
    except leases.LeaseLost:
        logger.warning("pass over sync %s gave way to another reader", sync.pk)
        return _abandon(run, result)
    except Exception as caught:
        error = caught
        if outcomes.classify(caught) == Failure.BUG:
            logger.exception("pass over sync %s failed", sync.pk)
    try:
        outcome = _conclude(sync, holder, run, result, error, settings=settings)
    except leases.LeaseLost:
        return _abandon(run, result)
    if isinstance(error, ReconnectRequired):
        _reject(sync, error)
    return PassReport(outcome=outcome, result=result, error=error)


def _stopwatch() -> Callable[[], bool]:
    """Whether a task has run so long that it should leave the rest to its successor."""
    end = time.monotonic() + django_settings.LONGEST_TASK_SECONDS
    return lambda: time.monotonic() > end


def _begin(sync: MailboxSync, started_at: datetime) -> SyncRun:
    sync.runs.filter(outcome=Outcome.RUNNING).update(
        outcome=Outcome.ABANDONED, finished_at=started_at
    )
    return SyncRun.objects.create(sync=sync, started_at=started_at)


def _conclude(
    sync: MailboxSync,
    holder: str,
    run: SyncRun,
    result: PassResult,
    error: Exception | None,
    *,
    settings: Settings,
) -> str:
    """Write the evidence and give the lease back in one transaction. Raises LeaseLost."""
    with transaction.atomic():
        leases.confirm(sync, holder)
        wish = _wish(sync)
        sync.problems = [{"name": p.name, "cause": p.cause} for p in result.problems]
        if result.is_backfilled and sync.backfilled_at is None:
            sync.backfilled_at = run.started_at
        if error is not None:
            outcome = Outcome.FAILED
            outcomes.note_failure(sync, error, now=timezone.now(), settings=settings)
        elif not result.is_finished:
            outcome = Outcome.PARTIAL
            sync.next_due_at = timezone.now()
        else:
            outcome = Outcome.PARTIAL if result.problems else Outcome.COMPLETE
            outcomes.note_success(sync, started_at=run.started_at, settings=settings)
            outcomes.accept_grant(sync.mailbox)
        if wish is not None:
            sync.next_due_at, sync.stopped_at = wish, None
        sync.lease_holder, sync.lease_until = "", None
        sync.save(update_fields=outcomes.EVIDENCE)
        _finish(run, outcome, result, sync)
    return outcome


def _wish(sync: MailboxSync) -> datetime | None:
    """When somebody asked for the next pass (“Sync now”, a new authorisation) during this one."""
    former = sync.next_due_at
    sync.refresh_from_db(fields=["stopped_at", "failure_count", "failure_code", "next_due_at"])
    return sync.next_due_at if sync.next_due_at != former else None


def _finish(run: SyncRun, outcome: str, result: PassResult, sync: MailboxSync) -> None:
    """Close the run's row; an idle pass after an idle pass only counts up the earlier row."""
    run.outcome, run.finished_at = outcome, timezone.now()
    run.seen, run.matched = result.seen, result.matched
    run.unmatched, run.failed = result.unmatched, result.failed
    run.failure_code, run.failure_text = sync.failure_code, sync.failure_text
    is_idle = outcome == Outcome.COMPLETE and not (run.matched + run.unmatched + run.failed)
    former = sync.runs.exclude(pk=run.pk).order_by("-started_at").first() if is_idle else None
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


def _abandon(run: SyncRun, result: PassResult) -> PassReport:
    SyncRun.objects.filter(pk=run.pk).update(
        outcome=Outcome.ABANDONED, finished_at=timezone.now(), seen=result.seen
    )
    return PassReport(outcome=Outcome.ABANDONED, result=result)


def _reject(sync: MailboxSync, error: ReconnectRequired) -> None:
    if outcomes.record_rejection(sync.mailbox, error, now=timezone.now()):
        notices.tell_of_rejection(sync.mailbox)
