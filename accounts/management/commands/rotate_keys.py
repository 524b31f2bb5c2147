from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand
from django.db import models, transaction

from crm_sync.fields import EncryptedTextField


class Command(BaseCommand):
    help = (
        "Encrypts every stored secret with the first of FIELD_ENCRYPTION_KEYS. "
        "Afterwards the older keys can be taken out."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        total = 0
        for model in apps.get_models():
            fields = [f.name for f in model._meta.fields if isinstance(f, EncryptedTextField)]
            for name in fields:
                total += self._rotate(model, name)
        self.stdout.write(f"{total} secrets are encrypted with the newest key.")

    def _rotate(self, model: type[models.Model], name: str) -> int:
        """Row by row under a lock, so that a secret changed meanwhile is not put back."""
        manager = model._default_manager
        keys = list(manager.exclude(**{name: ""}).values_list("pk", flat=True))
        for key in keys:
            with transaction.atomic():
                row = manager.select_for_update().only("pk", name).get(pk=key)
                manager.filter(pk=key).update(**{name: getattr(row, name)})
        return len(keys)
