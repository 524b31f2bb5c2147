"""Typed reading of the environment: a malformed or missing variable stops start-up with a sentence.

Knows nothing of Django, so that `settings.py` stays a list of facts.
"""

import os
import secrets
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured


def text(name: str, default: str = "") -> str:
    """The variable without surrounding blanks; the default where it is unset or blank."""
    return os.environ.get(name, "").strip() or default


def flag(name: str, *, default: bool = False) -> bool:
    """true/false, yes/no, on/off or 1/0 in any case."""
    value = text(name).lower()
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    if not value:
        return default
    raise ImproperlyConfigured(f"{name} must be true or false, not “{value}”.")


def names(name: str) -> list[str]:
    """A comma-separated list without blanks."""
    return [part.strip() for part in text(name).split(",") if part.strip()]


def address(name: str, default: str, *, schemes: tuple[str, ...] = ("http", "https")) -> str:
    """A URL with one of the schemes and a host, without a trailing slash.

    The slash goes because the Nylas SDK joins paths by plain addition (contract sheet, §1).
    """
    value = text(name, default)
    try:
        parts = urlsplit(value)
        is_whole = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole:
        raise ImproperlyConfigured(
            f"{name} must be a whole address such as {schemes[-1]}://host, not “{value}”."
        )
    return value.rstrip("/")


def fernet_keys(name: str, values: list[str]) -> list[str]:
    """The values, each checked to be a Fernet key (32 bytes, URL-safe base64)."""
    for value in values:
        try:
            Fernet(value)
        except ValueError:
            raise ImproperlyConfigured(
                f"{name} holds a key that is not one: make each with "
                "`python -c 'from cryptography.fernet import Fernet; "
                "print(Fernet.generate_key().decode())'`."
            ) from None
    return values


def required(name: str, reason: str) -> str:
    """The variable, or a sentence that says why it is needed."""
    value = text(name)
    if not value:
        raise ImproperlyConfigured(f"{name} is not set. {reason}")
    return value


def kept_secret(path: Path, make: bytes | None = None) -> str:
    """A secret that the embedded default makes once and keeps in a file only its owner can read."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        secret = make or secrets.token_urlsafe(50).encode()
        draft = path.with_suffix(f".{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_bytes(secret)
        try:
            # link() fails where another process was first, so both read the same secret.
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()
