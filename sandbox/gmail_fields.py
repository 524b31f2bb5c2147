"""Partial answers: Google's `fields` parameter, as in `messages(id,threadId),nextPageToken`."""

from __future__ import annotations

import re
from typing import Any

from sandbox.google_errors import GoogleError

Mask = dict[str, "Mask"]  # an empty one takes everything below it
_TOKENS = re.compile(r"[A-Za-z0-9_*]+|[(),/]")

# What can be asked for in the answers of the methods that are modelled.
_NAMES = frozenset(
    (
        "*", "messages", "message", "nextPageToken", "resultSizeEstimate", "id", "threadId",
        "labelIds", "snippet", "historyId", "internalDate", "sizeEstimate", "raw", "payload",
        "partId", "mimeType", "filename", "headers", "name", "value", "body", "size", "data",
        "attachmentId", "parts", "history", "messagesAdded", "messagesDeleted", "labelsAdded",
        "labelsRemoved", "labels", "type", "messageListVisibility", "labelListVisibility",
        "messagesTotal", "messagesUnread", "threadsTotal", "threadsUnread", "color",
        "emailAddress", "classificationLabelValues",
    )
)  # fmt: skip


def _refuse(text: str) -> GoogleError:
    return GoogleError(400, "invalidParameter", f"Invalid field selection {text}")


def read(text: str) -> Mask:
    tokens = _TOKENS.findall(text)
    if "".join(tokens) != re.sub(r"\s", "", text):
        raise _refuse(text)
    mask, rest = _group(tokens, text)
    if rest:
        raise _refuse(text)
    return mask


def _group(tokens: list[str], text: str) -> tuple[Mask, list[str]]:
    """The selection up to a closing bracket, and what follows it."""
    mask: Mask = {}
    while True:
        branch, tokens = _one(tokens, mask, text)
        if tokens and tokens[0] == "(":
            inner, tokens = _group(tokens[1:], text)
            if not tokens or tokens[0] != ")":
                raise _refuse(text)
            branch.update(inner)
            tokens = tokens[1:]
        if not tokens or tokens[0] != ",":
            return mask, tokens
        tokens = tokens[1:]


def _one(tokens: list[str], mask: Mask, text: str) -> tuple[Mask, list[str]]:
    """Put one path, `a/b/c`, into the mask; returns its innermost branch and the rest."""
    branch = mask
    while True:
        if not tokens or tokens[0] not in _NAMES:
            raise _refuse(tokens[0] if tokens else text)
        branch = branch.setdefault(tokens[0], {})
        if len(tokens) < 2 or tokens[1] != "/":
            return branch, tokens[1:]
        tokens = tokens[2:]


def apply(mask: Mask, data: Any) -> Any:
    if not mask or "*" in mask:
        return data
    if isinstance(data, list):
        return [apply(mask, item) for item in data]
    if not isinstance(data, dict):
        return data
    return {name: apply(mask[name], value) for name, value in data.items() if name in mask}
