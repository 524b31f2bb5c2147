"""How mail gets into a Gmail mailbox: as operations of the log."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable
from typing import Any

from sandbox.gmail_letters import arrived, letter_of, raw_of
from sandbox.gmail_mailbox import ARRIVING
from sandbox.google_accounts import NAMES
from sandbox.world import Mail


def now_ms() -> int:
    return int(time.time() * 1000)


def operation(
    account: str,
    raw: bytes,
    *,
    at: int,
    labels: Iterable[str] = ARRIVING,
    note: dict[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "op": "gmail-mail",
        "account": account,
        "raw": base64.b64encode(raw).decode(),
        "at": at,
        "labels": list(labels),
        "note": note or {},
    }


def received(
    account: str, raw: bytes, sender: str, *, authentication: str = "pass", **note: Any
) -> dict[str, Any]:
    """The account's copy of what `sender` has just sent."""
    at = now_ms()
    copy = arrived(raw, account=account, sender=sender, at=at, authentication=authentication)
    return operation(account, copy, at=at, note=note)


def copies(sent: Mail, *, authentication: str = "pass") -> list[dict[str, Any]]:
    """What arrives at the Google accounts among the recipients of a rep's mail."""
    addressed = {party["email"].casefold() for party in (*sent.to, *sent.cc, *sent.bcc)}
    accounts = [account for account in NAMES if account in addressed]
    if not accounts:
        return []
    sender, raw = sent.sender[0]["email"], raw_of(letter_of(sent))
    return [
        received(account, raw, sender, authentication=authentication, story="sent", rep=sender)
        for account in accounts
    ]
