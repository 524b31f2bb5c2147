"""The one seam at which this app gets Gmail: tests put a stand-in here."""

from crm_sync.providers.types import IntakeGateway
from email_sync.models import IntakeConnection


def gmail(connection: IntakeConnection) -> IntakeGateway:
    """The monitored mailbox with the connection's credentials; one gateway for a whole pass."""
    from crm_sync.providers import gmail as provider

    return provider.from_settings(connection.credentials)
