"""The one seam at which this app gets the provider: tests put a stand-in here."""

from typing import Protocol

from crm_sync.providers.types import AuthorisationGateway, MailGateway


class Gateway(AuthorisationGateway, MailGateway, Protocol):
    """What connecting a mailbox and listing its folders need."""

    def check(self) -> str:
        """Whether the provider accepts our key: a sentence; raises a ProviderError."""
        ...


def nylas() -> Gateway:
    """Nylas with the keys of the settings."""
    from crm_sync.providers import nylas as provider

    return provider.from_settings()
