"""Webhook destinations, and the deliveries to them: challenge, signature, retries."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import hmac
import secrets
import time
from collections import deque
from typing import Any
from urllib.parse import urlencode, urlsplit

import h11
import msgspec
from starlette.routing import Route

from sandbox import hookclient, notices
from sandbox.errors import ApiError, bad_request, not_found
from sandbox.faults import Faults
from sandbox.routing import Answer, Call, api
from sandbox.state import Sandbox, Webhook

TRIGGERS = frozenset(
    f"{room}.{word}"
    for room, words in {
        "grant": "created updated deleted expired imap_sync_completed",
        "message": (
            "created updated deleted send_success send_failed bounce_detected opened "
            "link_clicked opened.legacy link_clicked.legacy intelligence.order "
            "intelligence.tracking intelligence.return"
        ),
        "thread": "replied replied.legacy",
        "event": "created updated deleted",
        "calendar": "created updated deleted",
        "folder": "created updated deleted",
        "contact": "updated deleted",
        "booking": "created pending rescheduled cancelled reminder",
    }.items()
    for word in words.split()
)
MOCK_SECRET = "mock-webhook-secret"
ATTEMPTS = 3
CHALLENGE_TIMEOUT = 10.0
_FAILURES = (OSError, TimeoutError, h11.ProtocolError)


def signature(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class Hooks:
    """Delivers notifications at least once, in no promised order, without anybody waiting."""

    def __init__(self, sandbox: Sandbox, faults: Faults) -> None:
        self._sandbox = sandbox
        self._faults = faults
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: dict[str, Any] | None = None  # by the fault "reorder", until the next one
        self.retry_delays = [30.0, 600.0]
        self.timeout = 10.0
        self.hold = 2.0  # how long "reorder" waits for a next notification
        self.deliveries: deque[dict[str, Any]] = deque(maxlen=500)

    @property
    def pending(self) -> int:
        return len(self._tasks)

    def publish(self, payload: dict[str, Any]) -> None:
        trigger = payload["type"]
        if not self._destinations(trigger):
            return
        batch = [payload]
        if self._faults.take_webhook("duplicate", trigger):
            batch.append(payload)
        if self._held is not None:
            batch, self._held = [*batch, self._held], None
        elif self._faults.take_webhook("reorder", trigger):
            self._held = payload
            self._start(self._release_held(payload))
            return
        self._start(self._deliver_in_turn(batch))

    def _start(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _release_held(self, payload: dict[str, Any]) -> None:
        await asyncio.sleep(self.hold)
        if self._held is payload:
            self._held = None
            await self._deliver(payload)

    async def _deliver_in_turn(self, batch: list[dict[str, Any]]) -> None:
        if len(batch) == 1:
            await self._deliver(batch[0])
            return
        # The first attempts go out in this order; retries need not.
        for payload in batch:
            if not await self._attempt(payload, 1):
                self._start(self._deliver(payload, first=2))

    def _destinations(self, trigger: str) -> list[Webhook]:
        wanted = trigger.removesuffix(".truncated")  # cannot be subscribed to by itself
        return [
            hook
            for hook in self._sandbox.webhooks.values()
            if hook.status == "active" and wanted in hook.trigger_types
        ]

    async def _deliver(self, payload: dict[str, Any], first: int = 1) -> None:
        for attempt in range(first, ATTEMPTS + 1):
            if attempt > 1:
                delays = self.retry_delays or [0.0]
                await asyncio.sleep(delays[min(attempt - 2, len(delays) - 1)])
            if await self._attempt(payload, attempt):
                return

    async def _attempt(self, payload: dict[str, Any], attempt: int) -> bool:
        """Post to all destinations: a retry goes to those that had accepted it, too."""
        body = msgspec.json.encode({**payload, "webhook_delivery_attempt": attempt})
        hooks = self._destinations(payload["type"])
        results = await asyncio.gather(
            *(self._post(hook, body, payload, attempt) for hook in hooks)
        )
        return all(results)

    async def _post(
        self, hook: Webhook, body: bytes, payload: dict[str, Any], attempt: int
    ) -> bool:
        headers = {"content-type": "application/json"}
        if hook.compressed_delivery:
            body = gzip.compress(body)
            headers["content-encoding"] = "gzip"
        headers["x-nylas-signature"] = signature(hook.webhook_secret, body)
        status, failure = 0, ""
        try:
            status, _ = await hookclient.send(
                "POST", hook.webhook_url, headers=headers, body=body, timeout=self.timeout
            )
        except _FAILURES as error:
            failure = type(error).__name__
        self.deliveries.append(
            {
                "at": round(time.time(), 3),
                "webhook_id": hook.id,
                "type": payload["type"],
                "id": payload["id"],
                "attempt": attempt,
                "status": status,
                "failure": failure,
            }
        )
        return status == 200


# --- destinations ---------------------------------------------------------------------------------


class WebhookCreate(msgspec.Struct, forbid_unknown_fields=True):
    trigger_types: list[str]
    webhook_url: str
    description: str = ""
    notification_email_addresses: list[str] = []
    compressed_delivery: bool = False


class WebhookUpdate(msgspec.Struct, forbid_unknown_fields=True):
    trigger_types: list[str] | None = None
    webhook_url: str | None = None
    description: str | None = None
    status: str | None = None
    notification_email_addresses: list[str] | None = None
    compressed_delivery: bool | None = None


class MockRequest(msgspec.Struct, forbid_unknown_fields=True):
    trigger_type: str
    webhook_url: str


def written(hook: Webhook, *, with_secret: bool = False) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.to_builtins(hook)
    if not with_secret:
        del data["webhook_secret"]
    return data


def _check_triggers(triggers: list[str]) -> None:
    if not triggers:
        raise bad_request("trigger_types must not be empty")
    for trigger in triggers:
        if trigger not in TRIGGERS:
            raise bad_request(f"unknown trigger type {trigger!r}")


async def _check_url(url: str) -> None:
    """The challenge: the destination must answer with exactly the value it was sent."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise bad_request("webhook_url must be an absolute URL")
    challenge = secrets.token_hex(16)
    separator = "&" if parts.query else "?"
    target = f"{url}{separator}{urlencode({'challenge': challenge})}"
    try:
        status, body = await hookclient.send(
            "GET", target, headers={}, body=b"", timeout=CHALLENGE_TIMEOUT
        )
    except _FAILURES as error:
        reason = f"unable.verify.webhook_url : {type(error).__name__}"
        raise ApiError(400, "70005", reason) from error
    if status != 200:
        raise ApiError(400, "70005", f"unable.verify.webhook_url : status is not ok, got {status}")
    if body != challenge.encode():
        raise ApiError(400, "70005", "unable.verify.webhook_url : challenge was not returned")


def _save(call: Call, hook: Webhook) -> None:
    call.sandbox.commit({"op": "webhook", "webhook": msgspec.to_builtins(hook)})


def _found(call: Call) -> Webhook:
    hook = call.sandbox.webhooks.get(call.path("webhook_id"))
    if hook is None:
        raise not_found()
    return hook


def list_webhooks(call: Call) -> Answer:
    return call.many([written(hook) for hook in call.sandbox.webhooks.values()])


def get_webhook(call: Call) -> Answer:
    return call.one(written(_found(call)))


async def create_webhook(call: Call) -> Answer:
    body = call.read(WebhookCreate)
    _check_triggers(body.trigger_types)
    await _check_url(body.webhook_url)
    now = call.sandbox.now()
    hook = Webhook(
        id=secrets.token_urlsafe(18),
        webhook_url=body.webhook_url,
        trigger_types=body.trigger_types,
        webhook_secret=secrets.token_urlsafe(15),
        created_at=now,
        updated_at=now,
        status_updated_at=now,
        description=body.description,
        notification_email_addresses=body.notification_email_addresses,
        compressed_delivery=body.compressed_delivery,
    )
    _save(call, hook)
    return call.one(written(hook, with_secret=True))


async def update_webhook(call: Call) -> Answer:
    hook, body = _found(call), call.read(WebhookUpdate)
    wanted = {name: value for name, value in msgspec.to_builtins(body).items() if value is not None}
    if "trigger_types" in wanted:
        _check_triggers(wanted["trigger_types"])
    if wanted.get("status", "active") not in ("active", "pause"):
        raise bad_request("status must be active or pause")
    if wanted.get("webhook_url", hook.webhook_url) != hook.webhook_url:
        await _check_url(wanted["webhook_url"])
    now = call.sandbox.now()
    if "status" in wanted:
        wanted["status_updated_at"] = now
    changed = msgspec.structs.replace(hook, updated_at=now, **wanted)
    _save(call, changed)
    return call.one(written(changed))


def delete_webhook(call: Call) -> Answer:
    call.sandbox.commit({"op": "webhook-gone", "id": _found(call).id})
    return call.one({"status": "success"})


def rotate_secret(call: Call) -> Answer:
    hook = msgspec.structs.replace(
        _found(call), webhook_secret=secrets.token_urlsafe(15), updated_at=call.sandbox.now()
    )
    _save(call, hook)
    return call.one(written(hook, with_secret=True))


def _mock(call: Call) -> tuple[MockRequest, dict[str, Any]]:
    body = call.read(MockRequest)
    if body.trigger_type.removesuffix(".truncated").removesuffix(".cleaned") not in TRIGGERS:
        raise bad_request(f"unknown trigger type {body.trigger_type!r}")
    room = body.trigger_type.partition(".")[0]
    source = "/nylas/system" if room == "grant" else f"/google/{room}s/realtime"
    data = {"object": room, "id": f"mock-{room}", "grant_id": "mock-grant"}
    if room == "message" and not body.trigger_type.endswith(".deleted"):
        data |= {"subject": "Mock subject", "snippet": "Mock snippet"}
    return body, notices.envelope(body.trigger_type, source, data, call.sandbox.now())


def mock_payload(call: Call) -> Answer:
    return call.one(_mock(call)[1])


async def send_test_event(call: Call) -> Answer:
    wish, payload = _mock(call)
    body = msgspec.json.encode(payload)
    headers = {
        "content-type": "application/json",
        "x-nylas-signature": signature(MOCK_SECRET, body),
    }
    try:
        status, _ = await hookclient.send(
            "POST", wish.webhook_url, headers=headers, body=body, timeout=CHALLENGE_TIMEOUT
        )
    except _FAILURES as error:
        raise bad_request(f"the test event could not be sent: {type(error).__name__}") from error
    if status != 200:
        raise bad_request(f"the test event was answered with {status}")
    return call.one("success")


def ip_addresses(call: Call) -> Answer:
    return call.one({"ip_addresses": ["127.0.0.1"], "updated_at": call.sandbox.world.anchor})


_ONE = "/v3/webhooks/{webhook_id}"
ROUTES: list[Route] = [
    api("/v3/webhooks", list_webhooks),
    api("/v3/webhooks", create_webhook, method="POST"),
    api("/v3/webhooks/ip-addresses", ip_addresses),
    api("/v3/webhooks/mock-payload", mock_payload, method="POST"),
    api("/v3/webhooks/send-test-event", send_test_event, method="POST"),
    # The OpenAPI document and the SDK disagree about the rotation; both are served.
    api("/v3/webhooks/rotate-secret/{webhook_id}", rotate_secret, method="POST"),
    api("/v3/webhooks/{webhook_id}/rotate-secret", rotate_secret, method="PUT"),
    api(_ONE, get_webhook),
    api(_ONE, update_webhook, method="PUT"),
    api(_ONE, delete_webhook, method="DELETE"),
]
