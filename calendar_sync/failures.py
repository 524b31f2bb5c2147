"""Events that cannot be read: one entry each, until they can."""

from collections.abc import Iterable

from calendar_sync.models import EventFailure
from calendar_sync.passing import Pass
from crm_sync.providers.types import UnreadableEvent

LONGEST_ID = 500


def note(run: Pass, events: Iterable[UnreadableEvent]) -> None:
    """An entry for each that has none yet. Call it in a transaction of the pass."""
    new = {event.id[:LONGEST_ID]: event.cause for event in events}
    for event_id in new.keys() - _known(run):
        EventFailure.objects.create(
            mailbox=run.mailbox,
            event_id=event_id,
            cause=new[event_id][:300],
            failed_at=run.started_at,
        )
        _known(run).add(event_id)
        run.result.failed += 1


def forget(run: Pass, event_ids: Iterable[str]) -> None:
    """These can be read now. Call it in a transaction of the pass."""
    if mended := _known(run).intersection(event_ids):
        EventFailure.objects.filter(mailbox=run.mailbox, event_id__in=mended).delete()
        run.failed_ids = _known(run) - mended


def _known(run: Pass) -> set[str]:
    """The events of the mailbox that have an entry: asked once in a pass."""
    if run.failed_ids is None:
        failed = EventFailure.objects.filter(mailbox=run.mailbox)
        run.failed_ids = set(failed.values_list("event_id", flat=True))
    return run.failed_ids
