"""Values of system settings that somebody changed; `accounts.system_settings` reads them."""

from django.db import models


class SystemSetting(models.Model):
    """One setting that somebody changed. Names, types and meanings: `accounts.system_settings`."""

    name = models.CharField(max_length=60, primary_key=True)
    value = models.TextField(blank=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name
