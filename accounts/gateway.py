"""The one seam at which this app gets the provider: tests put a stand-in here."""

from typing import Protocol

from crm_sync.providers.types import (
    AuthorisationGateway,
    CalendarGateway,
    MailGateway,
    WebhookGateway,
)


class Gateway(AuthorisationGateway, CalendarGateway, MailGateway, WebhookGateway, Protocol):
    """What connecting a mailbox, reading it, writing its calendar and hearing of its news need."""

    def check(self) -> str:
        """Whether the provider accepts our key: a sentence; raises a ProviderError."""
        ...


def nylas() -> Gateway:
    """Nylas with the keys of the settings."""
    from crm_sync.providers import nylas as provider

    return provider.from_settings()
