from django.urls import path

from monitor import audit_views, intake_views, oauth_views, review_views, views

app_name = "monitor"

urlpatterns = [
    path("mailboxes/", views.mailboxes, name="mailboxes"),
    path("mailboxes/<int:pk>/history/", views.history, name="history"),
    path("mailboxes/<int:pk>/sync/", views.sync_now, name="sync-now"),
    path("intake/", intake_views.configuration, name="intake"),
    path("intake/state/", intake_views.state, name="intake-state"),
    path("intake/sync/", intake_views.sync_now, name="intake-sync"),
    path("intake/<int:pk>/history/", views.intake_history, name="intake-history"),
    path("intake-reviews/", review_views.reviews, name="intake-reviews"),
    path("intake-reviews/<int:pk>/", review_views.review, name="intake-review"),
    path("intake-reviews/<int:pk>/reopen/", review_views.reopen, name="intake-reopen"),
    path("trusted-senders/", review_views.trusted_senders, name="trusted-senders"),
    path("trusted-senders/<int:pk>/remove/", review_views.distrust, name="distrust"),
    path("oauth-connections/", oauth_views.connections, name="oauth-connections"),
    path("oauth-connections/new/", oauth_views.connection_new, name="oauth-connection-new"),
    path("oauth-connections/callback/", oauth_views.callback, name="oauth-callback"),
    path("oauth-connections/<int:pk>/", oauth_views.connection, name="oauth-connection"),
    path("oauth-connections/<int:pk>/test/", oauth_views.test, name="oauth-test"),
    path("oauth-connections/<int:pk>/disconnect/", oauth_views.disconnect, name="oauth-disconnect"),
    path("oauth-connections/<int:pk>/delete/", oauth_views.delete, name="oauth-delete"),
    path("audit/", audit_views.audit_list, name="audit"),
    path("settings/", views.sync_settings, name="settings"),
    path("settings/test-connection/", views.test_connection, name="test-connection"),
]
