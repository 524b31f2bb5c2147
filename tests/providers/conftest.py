from collections.abc import Iterator

import pytest

from crm_sync.providers.nylas import NylasGateway
from tests.providers import scripted_nylas
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
