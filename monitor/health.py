"""What `manage.py doctor` looks at: one check each, with its remedy."""

from collections.abc import Iterator
from dataclasses import dataclass

from celery import current_app
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import Error as DatabaseError
from kombu.exceptions import OperationalError

from accounts.gateway import nylas
from accounts.models import Mailbox
from crm_sync.fields import DecryptionError
from crm_sync.providers.errors import ApplicationRejected, ProviderError, ReconnectRequired
from email_sync.gateway import gmail
from email_sync.models import IntakeConnection

_DATABASE_FIRST = "Mend the database first."


@dataclass(frozen=True)
class Finding:
    """One line of the doctor: what was looked at, how it is, and what to do if it is not well."""

    subject: str
    is_well: bool
    words: str
    remedy: str = ""


def findings() -> Iterator[Finding]:
    """Every check, in the order in which a fault would hide the later ones."""
    yield check_settings()
    yield check_database()
    yield check_migrations()
    yield check_encryption()
    broker = check_broker()
    yield broker
    yield check_workers() if broker.is_well else _unknown("workers", "Mend the broker first.")
    yield check_nylas()
    yield check_gmail()


def _unknown(subject: str, remedy: str) -> Finding:
    return Finding(subject, is_well=False, words="unknown", remedy=remedy)


def check_settings() -> Finding:
    """Malformed settings stop start-up before this; here is what production must not leave out."""
    missing = [name for name in ("NYLAS_API_KEY", "NYLAS_CLIENT_ID") if not getattr(settings, name)]
    if missing:
        return Finding(
            "settings",
            is_well=False,
            words=f"not set: {', '.join(missing)}",
            remedy="Take both from the Nylas dashboard and put them into the environment.",
        )
    kind = "embedded default" if settings.IS_EMBEDDED else "from the environment"
    return Finding("settings", is_well=True, words=f"complete, {kind}")


def check_database() -> Finding:
    try:
        connection.ensure_connection()
    except DatabaseError as error:
        return Finding(
            "database",
            is_well=False,
            words=f"cannot be reached ({type(error).__name__})",
            remedy="Check DATABASE_URL and that the server runs.",
        )
    return Finding("database", is_well=True, words=f"{connection.vendor} answers")


def check_migrations() -> Finding:
    try:
        executor = MigrationExecutor(connection)
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return _unknown("migrations", _DATABASE_FIRST)
    if pending:
        return Finding(
            "migrations",
            is_well=False,
            words=f"{len(pending)} not applied",
            remedy="Run: manage.py migrate",
        )
    return Finding("migrations", is_well=True, words="all applied")


def check_encryption() -> Finding:
    try:
        count = sum(1 for _ in Mailbox.objects.exclude(grant_id="").only("grant_id").iterator())
    except DecryptionError as error:
        return Finding(
            "encryption", is_well=False, words="a stored grant is unreadable", remedy=str(error)
        )
    except DatabaseError:
        return _unknown("encryption", _DATABASE_FIRST)
    return Finding("encryption", is_well=True, words=f"{count} stored grants are readable")


def check_broker() -> Finding:
    try:
        with current_app.connection_for_read() as link:
            link.ensure_connection(max_retries=0, timeout=3)
    except (OperationalError, OSError) as error:
        return Finding(
            "broker",
            is_well=False,
            words=f"cannot be reached ({type(error).__name__})",
            remedy="Check REDIS_URL and that the server runs. No mail is lost meanwhile.",
        )
    return Finding("broker", is_well=True, words="answers")


def check_workers() -> Finding:
    try:
        answers = current_app.control.ping(timeout=2)
    except (OperationalError, OSError):
        answers = []
    if not answers:
        return Finding(
            "workers",
            is_well=False,
            words="none answered",
            remedy="Start one: celery -A crm_sync worker (and beat: celery -A crm_sync beat)",
        )
    return Finding("workers", is_well=True, words=f"{len(answers)} answered")


def check_nylas() -> Finding:
    try:
        nylas().check()
    except ProviderError as error:
        return Finding(
            "Nylas",
            is_well=False,
            words=str(error),
            remedy="Check NYLAS_API_URI and NYLAS_API_KEY.",
        )
    return Finding("Nylas", is_well=True, words=f"{settings.NYLAS_API_URI} accepts our key")


def check_gmail() -> Finding:
    """Whether Google accepts the access to the monitored mailbox; without one there is no fault."""
    try:
        connection = IntakeConnection.objects.selected().first()
        if connection is None:
            return Finding("Gmail", is_well=True, words="no BCC/FWD mailbox is in use")
        gmail(connection).profile()
    except DatabaseError:
        return _unknown("Gmail", _DATABASE_FIRST)
    except DecryptionError as error:
        return Finding("Gmail", is_well=False, words="its access is unreadable", remedy=str(error))
    except ProviderError as error:
        remedy = "Check GMAIL_API_ENDPOINT and GOOGLE_TOKEN_URI, and that Google can be reached."
        if isinstance(error, ReconnectRequired):
            remedy = "Authorise it again: System Settings → Integration → OAuth connections."
        elif isinstance(error, ApplicationRejected):
            remedy = (
                "Check the client ID and secret of the connection, and the Gmail API at Google."
            )
        return Finding("Gmail", is_well=False, words=str(error), remedy=remedy)
    return Finding("Gmail", is_well=True, words=f"accepts the connection “{connection.name}”")
