"""All addresses, by room."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from accounts.views.webhooks import nylas_webhook
from crm_sync.health import healthz

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", healthz, name="healthz"),
    path("webhooks/nylas/", nylas_webhook, name="nylas-webhook"),
    path("admin/", admin.site.urls),
    path("", include("accounts.urls")),
    path("emails/", include("email_sync.urls")),
    path("calendar/", include("calendar_sync.urls")),
    path("integration/", include("monitor.urls")),
]
