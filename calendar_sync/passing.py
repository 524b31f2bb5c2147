"""Who syncs which calendar, with what, since when: what every step of a pass needs to know."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from accounts import leases
from accounts.models import Mailbox, MailboxSync, User
from accounts.passes import Lease
from accounts.system_settings import Settings
from calendar_sync import rules
from calendar_sync.models import ActionType, CalendarCursor
from crm_sync.providers.errors import ProviderError
from crm_sync.providers.types import CalendarGateway, Event

#: Whose listings can be narrowed to what changed (contract sheet §5, “Params”).
_TELLS_CHANGES = frozenset({"google", "microsoft", "ews"})
#: The longest span that a provider lists at once, where there is a limit.
_LONGEST_SPAN = {"icloud": timedelta(days=360)}

Report = Callable[[str, int], None]


class Pass:
    """One pass over a calendar; `result` and `cursor` are filled on the way.

    `wants_whole` asks for a listing of the whole window, which also finds what vanished.
    """

    cursor: CalendarCursor

    def __init__(
        self,
        sync: MailboxSync,
        lease: Lease,
        *,
        gateway: CalendarGateway,
        settings: Settings,
        wants_whole: bool,
        report: Report,
    ) -> None:
        self.sync = sync
        self.mailbox: Mailbox = sync.mailbox
        self.user: User = sync.mailbox.user
        self.gateway = gateway
        self.settings = settings
        self.wants_whole = wants_whole
        self.report = report
        self.holder = lease.holder
        self.started_at = lease.started_at
        self.is_time_up = lease.is_time_up
        self.result = lease.result
        self.window = rules.window_of(
            now=self.started_at,
            sync_from=self.mailbox.sync_from or self.mailbox.authorised_at or self.started_at,
            days_after=self.mailbox.days_after,
            zone=self.user.zone,
        )
        #: When the listing of the whole window began that this pass brought to its end.
        self.whole_listing_at: datetime | None = None
        #: The fields of the cursor that listings change, as they are stored.
        self.stored_cursor: dict[str, Any] = {}
        #: Masters of series as this pass was shown them.
        self.masters: dict[str, Event] = {}
        #: What kept single writes from being made; the first one is the pass's in the end.
        self.setbacks: list[ProviderError] = []
        #: Events that have an entry as unreadable; None before anybody asked.
        self.failed_ids: set[str] | None = None
        #: Events that vanished and were not asked for, since the brake holds anyway.
        self.unasked = 0
        self.imported_type: ActionType | None = None
        self.own_addresses = self.mailbox.own_addresses
        #: Whether an address is a colleague's, as far as it was looked up.
        self.colleagues: dict[str, bool] = {}

    @property
    def grant_id(self) -> str:
        return str(self.mailbox.grant_id)

    @property
    def tells_changes(self) -> bool:
        return self.mailbox.provider in _TELLS_CHANGES

    @property
    def longest_span(self) -> timedelta | None:
        return _LONGEST_SPAN.get(self.mailbox.provider)

    @contextmanager
    def storing(self) -> Iterator[None]:
        """A transaction in which the lease is still ours. Raises LeaseLost."""
        with transaction.atomic():
            leases.confirm(self.sync, self.holder)
            yield
