from collections.abc import Iterator

import pytest

from crm_sync.providers.gmail import GmailGateway
from crm_sync.providers.nylas import NylasGateway
from tests.providers import scripted_google, scripted_nylas
from tests.providers.scripted_google import CREDENTIALS, ScriptedGoogle
from tests.providers.scripted_nylas import API_KEY, ScriptedNylas


@pytest.fixture
def nylas() -> Iterator[ScriptedNylas]:
    nylas, server = scripted_nylas.start()
    yield nylas
    server.shutdown()
    server.server_close()


@pytest.fixture
def gateway(nylas: ScriptedNylas) -> NylasGateway:
    return NylasGateway(api_uri=nylas.url, api_key=API_KEY, client_id="client-1", timeout=(2, 5))


@pytest.fixture
def google() -> Iterator[ScriptedGoogle]:
    google, server = scripted_google.start()
    yield google
    server.shutdown()
    server.server_close()


@pytest.fixture
def gmail(google: ScriptedGoogle) -> GmailGateway:
    return GmailGateway(
        CREDENTIALS, api_endpoint=google.url, token_uri=google.token_uri, timeout=(2, 5)
    )
