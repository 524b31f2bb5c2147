"""Waking workers for what is due: the rows say what is, the queue only wakes somebody."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db import connection, models, transaction
from django.db.models import Q
from kombu.exceptions import OperationalError

from accounts import leases
from accounts.models.mailboxes import Schedule

logger = logging.getLogger(__name__)

#: A queued pass that nobody began by then is taken for lost and queued again.
LOST_AFTER = timedelta(minutes=5)
#: Passes queued by one run of a dispatcher.
DISPATCH_LIMIT = 2_000

_Row = TypeVar("_Row", bound=Schedule)


def take_due(due: models.QuerySet[_Row], *, now: datetime) -> list[int]:
    """Mark as queued, once, the rows among these that nobody queued or reads; their keys."""
    with transaction.atomic():
        waiting = (
            due.filter(Q(queued_at=None) | Q(queued_at__lt=now - LOST_AFTER))
            .order_by("next_due_at")
            .select_for_update(
                of=("self",) if connection.features.has_select_for_update_of else (),
                skip_locked=connection.features.has_select_for_update_skip_locked,
            )
        )
        ready = [
            row.pk
            for row in waiting.only("lease_holder", "lease_until")[:DISPATCH_LIMIT]
            if leases.is_free(row, now=now)
        ]
        due.model._default_manager.filter(pk__in=ready).update(queued_at=now)
    return ready


def queue(task: Any, model: type[Schedule], pks: Sequence[int]) -> None:
    """Wake workers for these. A broker that is away is no error: the dispatcher comes again."""
    try:
        for pk in pks:
            task.apply_async((pk,), retry=False)
    except OperationalError:
        logger.warning("the broker is away; %s passes wait for the dispatcher", len(pks))
        model._default_manager.filter(pk__in=pks).update(queued_at=None)
