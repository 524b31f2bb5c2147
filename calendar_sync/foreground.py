"""What the command `sync` needs to know of calendars: see `accounts.foreground`."""

from django.db.models import Q, QuerySet

from accounts.foreground import Listed, Part
from accounts.gateway import nylas
from accounts.models import MailboxSync
from accounts.passes import PassReport
from accounts.system_settings import Settings
from calendar_sync.sync import sync_calendar


def _calendars() -> QuerySet[MailboxSync]:
    enabled = MailboxSync.objects.enabled().filter(kind=MailboxSync.Kind.CALENDAR)
    return enabled.select_related("mailbox__user").order_by("mailbox__address")


def _sync(sync: MailboxSync, settings: Settings, listed: Listed) -> PassReport:
    """Always the whole window: whoever asks wants to know that all is well."""
    return sync_calendar(sync, gateway=nylas(), settings=settings, wants_whole=True, report=listed)


CALENDAR = Part(
    option="calendar",
    help="only the calendars of users' mailboxes",
    rows=_calendars,
    addressed=lambda a: Q(mailbox__address=a) | Q(mailbox__authorised_address=a),
    title=lambda sync: sync.mailbox.address,
    read=_sync,
    place="calendar",
    not_connected=(
        "No mailbox is connected with calendar sync on. "
        "Connect one in the browser or with: manage.py connect_mailbox"
    ),
)
