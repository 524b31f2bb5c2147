"""What the command `sync` needs to know of email: see `accounts.foreground`."""

from django.db.models import Q, QuerySet

from accounts.foreground import Listed, Part
from accounts.gateway import nylas
from accounts.models import MailboxSync
from accounts.passes import PassReport
from accounts.system_settings import Settings
from email_sync.gateway import gmail
from email_sync.intake import sync_intake
from email_sync.models import IntakeConnection
from email_sync.sync import sync_mailbox


def _mailboxes() -> QuerySet[MailboxSync]:
    enabled = MailboxSync.objects.enabled().filter(kind=MailboxSync.Kind.EMAIL)
    return enabled.select_related("mailbox__user").order_by("mailbox__address")


def _read_mailbox(sync: MailboxSync, settings: Settings, listed: Listed) -> PassReport:
    return sync_mailbox(
        sync,
        gateway=nylas(),
        settings=settings,
        report=lambda cursor, number: listed(cursor.name, number),
    )


def _read_intake(connection: IntakeConnection, settings: Settings, listed: Listed) -> PassReport:
    return sync_intake(
        connection,
        gateway=gmail(connection),
        settings=settings,
        report=lambda number: listed("BCC/FWD", number),
    )


def _intake_off(settings: Settings) -> str:
    if settings.bcc or settings.fwd:
        return ""
    return "BCC and forwarding are both off. Switch one on: manage.py setting bcc on"


EMAIL = Part(
    option="email",
    help="only the email of users' mailboxes",
    rows=_mailboxes,
    addressed=lambda a: Q(mailbox__address=a) | Q(mailbox__authorised_address=a),
    title=lambda sync: sync.mailbox.address,
    read=_read_mailbox,
    place="folder",
    not_connected=(
        "No mailbox is connected with email sync on. "
        "Connect one in the browser or with: manage.py connect_mailbox"
    ),
)
INTAKE = Part(
    option="intake",
    help="only the Gmail mailbox to which mail is sent by BCC or forwarded",
    rows=IntakeConnection.objects.selected,
    addressed=lambda address: Q(address=address),
    title=lambda connection: connection.address,
    read=_read_intake,
    place="mailbox",
    not_connected=(
        "No intake mailbox is connected. "
        "Connect one in the browser or with: manage.py connect_intake"
    ),
    switched_off=_intake_off,
)
