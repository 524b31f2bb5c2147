"""A model field whose value is encrypted at rest."""

from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models


class DecryptionError(Exception):
    """No key in FIELD_ENCRYPTION_KEYS opens the stored value."""


@lru_cache(maxsize=4)
def _box(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def _current_box() -> MultiFernet:
    return _box(tuple(settings.FIELD_ENCRYPTION_KEYS))


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]
    """Text, encrypted with the newest of FIELD_ENCRYPTION_KEYS, readable with any of them.

    An empty value is stored empty, so that “is there one?” is a plain query.
    Raises DecryptionError on reading where no key fits: a wrong key must never look like no value.
    """

    description = "Encrypted text"

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        if not value:
            return value
        return _current_box().encrypt(value.encode()).decode()

    def from_db_value(
        self, value: str | None, expression: object, connection: object
    ) -> str | None:
        if not value:
            return value
        try:
            return _current_box().decrypt(value.encode()).decode()
        except InvalidToken:
            raise DecryptionError(
                "A stored secret cannot be read with FIELD_ENCRYPTION_KEYS. "
                "Put the key it was written with back, as a later one in the list."
            ) from None
