"""All addresses, by room."""

from importlib.util import find_spec

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from crm_sync.health import healthz

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", healthz, name="healthz"),
    path("admin/", admin.site.urls),
    path("", include("accounts.urls")),
]
for _room, _prefix in (("email_sync", "emails/"), ("monitor", "integration/")):
    if find_spec(f"{_room}.urls"):
        urlpatterns.append(path(_prefix, include(f"{_room}.urls")))
