"""One message's headers, and the webhook itself, made, mended and rotated over real HTTP."""

import json
from typing import Any

import pytest

from crm_sync.providers.errors import (
    ApplicationRejected,
    ItemGone,
    PermanentError,
    ReconnectRequired,
    TransientError,
    UnexpectedAnswer,
)
from crm_sync.providers.nylas import WEBHOOK_TRIGGERS, NylasGateway
from crm_sync.providers.types import Address, Webhook, WebhookGateway
from tests.providers.scripted_nylas import HTML, ScriptedNylas, failure

URL = "https://crm.example/webhooks/nylas/"
MESSAGE: dict[str, Any] = {
    "id": "m1",
    "object": "message",
    "date": 1_700_000_000,
    "subject": "Hello",
    "from": [{"email": "ann.secret@example.com", "name": "Ann"}],
    "folders": ["INBOX"],
    "headers": [{"name": "Message-ID", "value": "<1@x>"}],
}
HOOK = {
    "id": "w1",
    "webhook_url": URL,
    "status": "active",
    "trigger_types": list(WEBHOOK_TRIGGERS),
    "description": "…",
}
GRANT = {"data": {"id": "g1", "provider": "google", "scope": [], "grant_status": "valid"}}


def one(**changes: Any) -> dict[str, Any]:
    return {"request_id": "r", "data": HOOK | changes}


# --- one message's headers -----------------------------------------------------------------------


def test_headers_are_asked_for_without_body_or_snippet(nylas, gateway):
    nylas.answers({"data": MESSAGE})
    headers = gateway.message_headers("g1", "a/b=#")
    assert (headers.id, headers.message_id, headers.folder_ids) == ("m1", "<1@x>", ("INBOX",))
    assert headers.has_headers
    assert headers.from_ == (Address("ann.secret@example.com", "Ann"),)
    asked = nylas.asked[0]
    assert (asked.method, asked.path) == ("GET", "/v3/grants/g1/messages/a%2Fb%3D%23")
    assert asked.query["fields"] == "include_basic_headers"
    assert set(asked.query["select"].split(",")) == {
        *("id", "object", "thread_id", "date", "subject", "from", "to", "cc", "bcc", "folders"),
        "headers",
    }


@pytest.mark.parametrize("odd", ["", "\x00"], ids=["quick", "tolerant"])
def test_a_text_that_comes_all_the_same_is_not_even_decoded(nylas, gateway, odd):
    nylas.answers({"data": MESSAGE | {"subject": f"Hi{odd}", "body": 5, "snippet": ["text"]}})
    headers = gateway.message_headers("g1", "m1")
    assert headers.subject == "Hi"
    assert "text" not in repr(headers)


@pytest.mark.parametrize(
    ("status", "then", "kind"),
    [
        (404, GRANT, ItemGone),
        (410, None, ItemGone),
        (401, {"data": []}, ReconnectRequired),
        (429, None, TransientError),
        (503, None, TransientError),
        (400, None, PermanentError),
    ],
)
def test_a_refusal_of_headers_says_what_it_concerns(nylas, gateway, status, then, kind):
    nylas.refuses(status)
    if then is not None:
        nylas.answers(then)
    assert type(failure(gateway.message_headers, "g1", "m1")) is kind


def test_headers_in_an_unknown_form_cost_only_themselves(nylas, gateway):
    nylas.answers({"data": MESSAGE | {"subject": {"text": "ann.secret"}}})
    assert failure(gateway.message_headers, "g1", "m1").code == "unreadable-message"
    nylas.answers(HTML)
    assert isinstance(failure(gateway.message_headers, "g1", "m1"), TransientError)
    nylas.answers([])
    assert isinstance(failure(gateway.message_headers, "g1", "m1"), UnexpectedAnswer)


# --- the webhook ---------------------------------------------------------------------------------


def test_the_gateway_keeps_the_promise(gateway: NylasGateway):
    # For the type checker, which holds the signatures against the protocol.
    promise: WebhookGateway = gateway
    assert callable(promise.webhooks)


def test_all_webhooks_are_listed_whatever_else_they_listen_to(nylas, gateway):
    strange = HOOK | {"id": "w2", "trigger_types": ["sms.arrived", None], "status": "failing"}
    nylas.answers({"data": [HOOK, strange], "next_cursor": "2"})
    nylas.answers({"data": [{"id": "w3"}]})
    assert gateway.webhooks() == [
        Webhook("w1", URL, "active", is_complete=True),
        Webhook("w2", URL, "failing", is_complete=False),
        Webhook("w3", "", "active", is_complete=False),
    ]
    assert [asked.query for asked in nylas.asked] == [{}, {"page_token": "2"}]


def test_a_webhook_from_before_the_calendars_is_not_complete(nylas, gateway):
    former = [name for name in WEBHOOK_TRIGGERS if name.startswith(("message.", "grant."))]
    nylas.answers({"data": [HOOK | {"trigger_types": former}]})
    assert [webhook.is_complete for webhook in gateway.webhooks()] == [False]
    assert set(WEBHOOK_TRIGGERS) - set(former) == {
        *("event.created", "event.updated", "event.deleted"),
        *("calendar.created", "calendar.updated", "calendar.deleted"),
    }


def test_a_list_that_goes_round_in_a_circle_is_left(nylas, gateway):
    for _ in range(2):
        nylas.answers({"data": [HOOK], "next_cursor": "2"})
    assert failure(gateway.webhooks).code == "repeated-cursor"


def test_a_new_webhook_tells_its_secret_even_without_created_at(nylas, gateway):
    nylas.answers(one(webhook_secret="s3cret"))
    webhook, secret = gateway.create_webhook(URL)
    assert (webhook.id, webhook.is_complete, secret) == ("w1", True, "s3cret")
    asked = nylas.asked[0]
    assert (asked.method, asked.path) == ("POST", "/v3/webhooks")
    assert asked.headers["Content-Type"] == "application/json"
    sent = json.loads(asked.body)
    assert sent["webhook_url"] == URL
    assert sent["trigger_types"] == list(WEBHOOK_TRIGGERS)
    assert "s3cret" not in repr(webhook)


def test_a_webhook_without_its_secret_is_no_success(nylas, gateway):
    nylas.answers(one())
    assert isinstance(failure(gateway.create_webhook, URL), UnexpectedAnswer)
    nylas.answers(one())
    assert isinstance(failure(gateway.rotate_webhook_secret, "w1"), UnexpectedAnswer)


def test_a_failed_challenge_names_its_remedy(nylas, gateway):
    nylas.refuses(400, type="70005")
    error = failure(gateway.create_webhook, URL)
    assert (error.code, error.status) == ("challenge-failed", 400)
    assert "PUBLIC_URL" in str(error)


def test_mending_asks_for_all_triggers_and_activity(nylas, gateway):
    nylas.answers(one())
    assert gateway.mend_webhook("w/1").status == "active"
    asked = nylas.asked[0]
    assert (asked.method, asked.path) == ("PUT", "/v3/webhooks/w%2F1")
    assert json.loads(asked.body) == {"trigger_types": list(WEBHOOK_TRIGGERS), "status": "active"}


def test_a_rotation_as_documented(nylas, gateway):
    nylas.answers({"data": {"webhook_secret": "new"}})
    assert gateway.rotate_webhook_secret("w1") == "new"
    assert [(a.method, a.path) for a in nylas.asked] == [("POST", "/v3/webhooks/rotate-secret/w1")]


@pytest.mark.parametrize("status", [404, 405])
def test_a_rotation_as_the_sdk_asks_for_it(nylas: ScriptedNylas, gateway, status):
    nylas.refuses(status).answers(one(webhook_secret="new"))
    assert gateway.rotate_webhook_secret("w1") == "new"
    assert [(a.method, a.path) for a in nylas.asked] == [
        ("POST", "/v3/webhooks/rotate-secret/w1"),
        ("PUT", "/v3/webhooks/w1/rotate-secret"),
    ]


def test_a_rotation_that_may_have_happened_is_not_tried_the_other_way(nylas, gateway):
    nylas.refuses(503)
    assert isinstance(failure(gateway.rotate_webhook_secret, "w1"), TransientError)
    assert len(nylas.asked) == 1


def test_an_unknown_webhook_is_named_as_such(nylas, gateway):
    nylas.refuses(404).refuses(404)
    assert failure(gateway.rotate_webhook_secret, "w1").code == "webhook-unknown"
    nylas.refuses(404)
    assert failure(gateway.mend_webhook, "w1").code == "webhook-unknown"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, ApplicationRejected),
        (429, TransientError),
        (502, TransientError),
        (302, UnexpectedAnswer),
    ],
)
def test_failures_of_the_application_are_told_apart(nylas, gateway, status, kind):
    for call, arguments in (
        (gateway.webhooks, ()),
        (gateway.create_webhook, (URL,)),
        (gateway.mend_webhook, ("w1",)),
        (gateway.rotate_webhook_secret, ("w1",)),
    ):
        nylas.refuses(status)
        assert type(failure(call, *arguments)) is kind


def test_the_sandbox_and_the_gateway_agree(sandbox_url):
    """A destination that answers the challenge lives in the tests of the webhook itself."""
    gateway = NylasGateway(api_uri=sandbox_url, api_key="sandbox-key", client_id="c")
    assert gateway.webhooks() == []
    assert failure(gateway.create_webhook, "http://127.0.0.1:1/none/").code == "challenge-failed"
    assert failure(gateway.rotate_webhook_secret, "none").code == "webhook-unknown"
    grant = next(iter(gateway.grants()))
    folder = next(f for f in gateway.folders(grant.id) if f.role == "inbox")
    page = gateway.message_page(grant.id, folder_id=folder.id, received_after=None, limit=1)
    assert gateway.message_headers(grant.id, page.messages[0].id) == page.messages[0]
