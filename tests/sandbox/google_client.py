"""What the tests of the sandbox's Google share: Google's own client libraries, pointed at it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from google.oauth2.credentials import Credentials
from google_auth_oauthlib.flow import Flow
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

from tests.sandbox.conftest import Server

CLIENT_ID, CLIENT_SECRET = "sandbox-google-client", "sandbox-google-secret"
INTAKE = "crm.intake@northsound.example"
SECOND = "front.desk@northsound.example"
CALLBACK = "http://localhost:8000/intake/callback"
AUTH = "https://www.googleapis.com/auth/"
READONLY, MODIFY, METADATA = (AUTH + "gmail." + w for w in ("readonly", "modify", "metadata"))
EMAIL = AUTH + "userinfo.email"
SCOPES = ["openid", EMAIL, MODIFY]
JAVIER = {"name": "Javier Ruiz", "email": "j.ruiz@harbor.example"}


def flow_for(server: Server, scopes: list[str] | None = None, **more: Any) -> Flow:
    config = {
        "web": {
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "auth_uri": f"{server.url}/google/auth",
            "token_uri": f"{server.url}/google/token",
        }
    }
    return Flow.from_client_config(config, scopes or SCOPES, redirect_uri=CALLBACK, **more)


def consent(url: str, account: str = INTAKE, **form: Any) -> str:
    """What the browser does on the consent page; returns where it is sent to."""
    body = {"decision": "allow", "account": account, **form}
    answer = requests.post(url, data=body, allow_redirects=False, timeout=10)
    assert answer.status_code == 302, answer.text
    return answer.headers["location"]


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def credentials_for(server: Server, account: str = INTAKE, **more: Any) -> Credentials:
    given = server.control("google/authorise", account=account, **more)
    return Credentials(
        None,
        refresh_token=given["refresh_token"],
        token_uri=f"{server.url}/google/token",
        client_id=given["client_id"],
        client_secret=given["client_secret"],
        scopes=list(given["scopes"]),
    )


def service_for(server: Server, credentials: Credentials | None = None) -> Any:
    return build(
        "gmail",
        "v1",
        credentials=credentials or credentials_for(server),
        client_options={"api_endpoint": server.url},
    ).users()


def bearer(server: Server, **more: Any) -> dict[str, str]:
    """The header for requests without the client library."""
    given = server.control("google/authorise", **more)
    form = {
        "grant_type": "refresh_token",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "refresh_token": given["refresh_token"],
    }
    answer = requests.post(f"{server.url}/google/token", data=form, timeout=10)
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def raw_of(service: Any, message_id: str) -> bytes:
    got = service.messages().get(userId="me", id=message_id, format="raw").execute()
    return decode(got["raw"])


def deliver(server: Server, subject: str = "Hello", **more: Any) -> dict[str, Any]:
    more.setdefault("from", {"name": "Sam Cole", "email": "sam.cole@northsound.example"})
    more.setdefault("text", "Some text.\n")
    return server.control("google/deliver", subject=subject, **more)


@contextmanager
def refused(status: int, reason: str) -> Iterator[pytest.ExceptionInfo[HttpError]]:
    with pytest.raises(HttpError) as error:
        yield error
    assert error.value.status_code == status
    assert reason_of(error.value) == reason


def reason_of(error: HttpError) -> str:
    """From the body: `error_details` prefers the `details`, where Google gives some."""
    return str(json.loads(error.content)["error"]["errors"][0]["reason"])
