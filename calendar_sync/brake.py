"""The brake: too many deletions in one pass wait until an admin allows them.

Nothing of them is carried out then, in either direction; all else of the pass has been done. Events
left in a calendar that the user no longer syncs do not count: the user chose another calendar, and
the to-dos moved there.
"""

from datetime import datetime
from typing import NoReturn

from django.db import transaction
from msgspec import Struct

from accounts import audit
from accounts.models import MailboxSync, User
from calendar_sync import notices, rules
from calendar_sync.models import CalendarCursor, EventLink
from calendar_sync.passing import Pass
from crm_sync.providers.errors import ProviderError


class DeletionBrake(ProviderError):
    """Not the provider's failure: we ask before we go on."""

    code = "deletion-brake"


class Deletions(Struct, frozen=True):
    """Events to be removed there; items to be unlinked or marked as cancelled here."""

    there: int
    here: int

    @property
    def total(self) -> int:
        return self.there + self.here


def holds(run: Pass, deletions: Deletions) -> bool:
    """Whether these are too many, and nobody has allowed them."""
    if run.cursor.released_at is not None or not deletions.total:
        return False
    linked = EventLink.objects.filter(mailbox=run.mailbox, calendar_id=run.cursor.calendar_id)
    return rules.is_held(
        deletions.total,
        linked=linked.exclude(event_id="").count(),
        limit=run.settings.deletion_limit,
        share=run.settings.deletion_share,
    )


def hold(run: Pass, deletions: Deletions) -> NoReturn:
    """Write down what waits, stop this calendar, tell the admins once. Raises DeletionBrake."""
    cursor = run.cursor
    is_first = cursor.held_at is None
    with run.storing():
        cursor.held_deletions = {"there": deletions.there, "here": deletions.here}
        cursor.held_at = cursor.held_at or run.started_at
        cursor.save(update_fields=["held_deletions", "held_at"])
        MailboxSync.objects.filter(pk=run.sync.pk).update(stopped_at=run.started_at)
    if is_first:
        notices.tell_of_brake(run.mailbox, describe(deletions))
    raise DeletionBrake(describe(deletions))


def describe(deletions: Deletions) -> str:
    parts = [
        _count(deletions.there, "event would be removed from the mail app's calendar")
        if deletions.there
        else "",
        _count(deletions.here, "event has disappeared from the mail app's calendar")
        if deletions.here
        else "",
    ]
    what = " and ".join(filter(None, parts))
    return f"{what}. That is more than usual, so an admin has to allow it first."


def _count(number: int, words: str) -> str:
    if number == 1:
        return f"1 {words}"
    plural = words.replace("event would", "events would").replace("event has", "events have")
    return f"{number:,} {plural}"


def let_go(run: Pass) -> None:
    """The deletions were carried out, or there are few again: an admin's leave is used up."""
    cursor = run.cursor
    if cursor.held_at is None and cursor.released_at is None:
        return
    cursor.held_deletions, cursor.held_at, cursor.released_at = {}, None, None
    with run.storing():
        cursor.save(update_fields=["held_deletions", "held_at", "released_at"])


def release_brake(cursor: CalendarCursor, *, by: User, now: datetime) -> None:
    """Allow what is held: the next pass, due now, carries it out. Access is the caller's matter."""
    from calendar_sync.tasks import wake  # The tasks know the pass, and the pass the brake.

    owner = cursor.mailbox.user
    with transaction.atomic():
        held = Deletions(**cursor.held_deletions) if cursor.held_deletions else Deletions(0, 0)
        about = f"allowed {held.total:,} deletions in the calendar of {owner.display_name}"
        audit.record(audit.Action.RELEASED_BRAKE, actor=by, about=about, owner=owner)
        CalendarCursor.objects.filter(pk=cursor.pk).update(released_at=now, listing_wanted_at=now)
        MailboxSync.objects.filter(mailbox=cursor.mailbox_id, kind="calendar").update(
            next_due_at=now, stopped_at=None, failure_count=0, queued_at=None
        )
        transaction.on_commit(lambda: wake([owner.pk], now=now))
