"""One pass over a calendar, both ways: choose it → read → write → carry out deletions.

What makes it safe to interrupt at any instruction:

* A lease keeps a second reader away; every transaction begins by confirming it.
* A page of events is stored together with the cursor that says it was read. An event found again
  is known by its link, and says nothing new as long as its content is what was seen before.
* No request is made within a transaction. A link with a fresh marker is committed before an event
  is made, so an answer that was lost is found again; what a change writes is noted before it is
  sent, so it is not taken for somebody else's edit when it comes back.
* Each field has its own memory of what both sides agreed on (`merging`): a change on either side
  is carried over, the newer one where both changed the same field, and what was overwritten stands
  in the item's history.
* What vanished is found only by a listing of the whole window that reached its end, and even then
  each event is asked for by itself. All deletions of a pass, on either side, come last and
  together, so that the brake can hold them (`deletions`).
"""

from accounts.calendars import CalendarChoice, choose_calendar
from accounts.models import MailboxSync
from accounts.passes import Lease, PassReport, run_pass
from accounts.rules import Problem
from accounts.system_settings import Settings
from calendar_sync import deletions, listing, outgoing
from calendar_sync.models import ActionItem, CalendarCursor, EventLink
from calendar_sync.passing import Pass, Report
from crm_sync.providers.errors import PermanentError, ReconnectRequired
from crm_sync.providers.types import Calendar, CalendarGateway


def sync_calendar(
    sync: MailboxSync,
    *,
    gateway: CalendarGateway,
    settings: Settings,
    wants_whole: bool = False,
    report: Report = lambda calendar, events: None,
) -> PassReport:
    """One pass over the calendar side of a mailbox, under its lease; see `accounts.passes`.

    `report` is called after each page with the calendar's name and the number of events listed.
    """

    def read(lease: Lease) -> None:
        run = Pass(
            sync, lease, gateway=gateway, settings=settings, wants_whole=wants_whole, report=report
        )
        carry_both_ways(run)

    return run_pass(sync, read, settings=settings)


def carry_both_ways(run: Pass) -> None:
    choice = _choose(run)
    if choice.problem is not None:
        run.result.problems.append(choice.problem)
    if choice.calendar is None:
        return
    _take_up(run, choice.calendar)
    listing.read_events(run)
    deletions.look_for_vanished(run)
    outgoing.write_changes(run)
    deletions.carry_out(run)
    run.result.problems.extend(outgoing.problems_of(run))
    run.result.is_backfilled = run.cursor.listed_at is not None
    if run.setbacks:
        raise run.setbacks[0]


def _choose(run: Pass) -> CalendarChoice:
    """The calendar that the user named, or the usual one; or why there is none."""
    try:
        calendars = run.gateway.calendars(run.grant_id)
    except (PermanentError, ReconnectRequired) as error:
        # The mail of this mailbox may be read all the same.
        if error.code not in {"calendars-unsupported", "calendar-scopes-missing"}:
            raise
        return CalendarChoice(None, Problem(name="Calendar", cause=str(error)))
    return choose_calendar(calendars, name=run.mailbox.calendar_name)


def _take_up(run: Pass, calendar: Calendar) -> None:
    """The cursor of the chosen calendar. Where another one was chosen so far it begins anew: the
    to-dos move over, and what was imported stays (its links wait for the former calendar)."""
    cursor = CalendarCursor.objects.filter(mailbox=run.mailbox).first()
    seen = (calendar.id, calendar.name[:500], calendar.is_read_only)
    if cursor and (cursor.calendar_id, cursor.name, cursor.is_read_only) == seen:
        run.cursor = cursor
        _note_first_listing(run)
        return
    with run.storing():
        if cursor is None or cursor.calendar_id != calendar.id:
            CalendarCursor.objects.filter(mailbox=run.mailbox).delete()
            cursor = CalendarCursor(mailbox=run.mailbox, calendar_id=calendar.id)
            links = EventLink.objects.live().filter(mailbox=run.mailbox)
            links.filter(item__origin=ActionItem.Origin.CRM).update(is_leaving=True)
        cursor.name, cursor.is_read_only = calendar.name[:500], calendar.is_read_only
        cursor.save()
    run.cursor = cursor
    _note_first_listing(run)


def _note_first_listing(run: Pass) -> None:
    if run.sync.listed_at is None:
        with run.storing():
            run.sync.listed_at = run.started_at
            run.sync.save(update_fields=["listed_at"])
