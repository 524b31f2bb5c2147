from django.urls import path

from monitor import views

app_name = "monitor"

urlpatterns = [
    path("mailboxes/", views.mailboxes, name="mailboxes"),
    path("mailboxes/<int:pk>/history/", views.history, name="history"),
    path("mailboxes/<int:pk>/sync/", views.sync_now, name="sync-now"),
    path("settings/", views.sync_settings, name="settings"),
    path("settings/test-connection/", views.test_connection, name="test-connection"),
]
