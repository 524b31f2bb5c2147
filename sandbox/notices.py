"""What the webhooks are told: one function per sort of object, in the API's envelope."""

from __future__ import annotations

import uuid
from typing import Any

from sandbox import rendering
from sandbox.mailboxes import Mailbox
from sandbox.state import CLIENT_ID, Grant, Sandbox
from sandbox.world import Mail

SIZE_LIMIT = 1_000_000  # beyond it a message is announced without its body


def envelope(trigger: str, source: str, data_object: dict[str, Any], now: int) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "type": trigger,
        "source": source,
        "id": str(uuid.uuid4()),
        "time": now,
        "webhook_delivery_attempt": 1,
        "data": {"application_id": CLIENT_ID, "object": data_object},
    }


def _publish(sandbox: Sandbox, index: int, trigger: str, source: str, data: dict[str, Any]) -> None:
    """Hand a notification over, unless nobody authorised the mailbox; keep it while expired."""
    grant = sandbox.grant_of(index)
    if grant is None or sandbox.outbox is None:
        return
    payload = envelope(trigger, source, data, sandbox.now())
    if trigger == "event.deleted":
        del payload["time"]  # the published sample has none
    if grant.grant_status != "valid" and not trigger.startswith("grant."):
        sandbox.missed.setdefault(index, []).append(payload)
    else:
        sandbox.outbox.publish(payload)


def message(sandbox: Sandbox, trigger: str, mailbox: Mailbox, mail: Mail) -> None:
    grant = sandbox.grant_of(mailbox.index)
    if grant is None or mail.is_draft:
        return
    data = rendering.written(mail, mailbox, grant.id)
    if len(data["body"]) > SIZE_LIMIT:
        del data["body"]
        trigger += ".truncated"
    _publish(sandbox, mailbox.index, trigger, f"/{mailbox.provider}/emails/realtime", data)


def message_gone(sandbox: Sandbox, mailbox: Mailbox, message_id: str) -> None:
    grant = sandbox.grant_of(mailbox.index)
    if grant is None:
        return
    data = {"id": message_id, "grant_id": grant.id, "object": "message"}
    source = f"/{mailbox.provider}/emails/realtime"
    _publish(sandbox, mailbox.index, "message.deleted", source, data)


def plain(sandbox: Sandbox, trigger: str, mailbox: Mailbox, data: dict[str, Any]) -> None:
    """A folder, calendar or event, as the API writes it."""
    room = trigger.partition(".")[0] + "s"
    _publish(sandbox, mailbox.index, trigger, f"/{mailbox.provider}/{room}/realtime", data)


def grant(sandbox: Sandbox, trigger: str, grant: Grant, code: int, **more: Any) -> None:
    if sandbox.outbox is None:
        return
    data = {
        "code": code,
        "grant_id": grant.id,
        "integration_id": f"{CLIENT_ID}-{grant.provider}",
        "provider": grant.provider,
        "email": grant.email,
        **more,
    }
    sandbox.outbox.publish(envelope(trigger, "/nylas/system", data, sandbox.now()))


def release(sandbox: Sandbox, index: int, *, drop: bool) -> None:
    """Send what was kept while the grant was expired, or forget it after a long outage."""
    kept = sandbox.missed.pop(index, [])
    if sandbox.outbox is not None and not drop:
        for payload in kept:
            sandbox.outbox.publish(payload)
