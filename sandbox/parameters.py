"""Strict reading of query strings: an unknown name or a wrong type is a 400, as at the real API."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from sandbox.errors import bad_request

Reader = Callable[[str, str], Any]
Spec = dict[str, Reader]

# What Go's ParseBool takes; the Python SDK writes "True" and "False".
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
MAX_ADDRESSES = 25


def text(name: str, value: str) -> str:
    return value


def integer(name: str, value: str) -> int:
    if not re.fullmatch(r"-?\d{1,18}", value):
        raise bad_request(f"query parameter {name!r} must be an integer, got {value!r}")
    return int(value)


def boolean(name: str, value: str) -> bool:
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise bad_request(f"query parameter {name!r} must be a boolean, got {value!r}")


def limit(maximum: int) -> Reader:
    def read(name: str, value: str) -> int:
        number = integer(name, value)
        if not 1 <= number <= maximum:
            raise bad_request(f"query parameter {name!r} must be between 1 and {maximum}")
        return number

    return read


def one_of(*choices: str) -> Reader:
    def read(name: str, value: str) -> str:
        if value not in choices:
            raise bad_request(f"query parameter {name!r} must be one of {', '.join(choices)}")
        return value

    return read


def addresses(name: str, value: str) -> frozenset[str]:
    """A comma-separated list of at most 25 addresses, normalised."""
    found = [part.strip().casefold() for part in value.split(",") if part.strip()]
    if len(found) > MAX_ADDRESSES:
        raise bad_request(f"query parameter {name!r} takes at most {MAX_ADDRESSES} addresses")
    return frozenset(found)


def names(name: str, value: str) -> frozenset[str]:
    return frozenset(part.strip() for part in value.split(",") if part.strip())


def metadata_pair(name: str, value: str) -> tuple[str, str]:
    key, colon, wanted = value.partition(":")
    if not colon or key not in ("key1", "key2", "key3", "key4", "key5"):
        raise bad_request(f"query parameter {name!r} must look like key1:value (key1 to key5)")
    return key, wanted


def read_query(items: Iterable[tuple[str, str]], spec: Spec) -> dict[str, Any]:
    """The values by name. A repeated name counts once, the first time (except `event_type`)."""
    values: dict[str, Any] = {}
    for name, value in items:
        reader = spec.get(name)
        if reader is None:
            raise bad_request(f"unknown query parameter {name!r}")
        if name == "event_type":
            values.setdefault(name, set()).add(reader(name, value))
        elif name not in values:
            values[name] = reader(name, value)
    return values
