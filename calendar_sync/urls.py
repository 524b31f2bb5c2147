from django.urls import path

from calendar_sync.views import action_types, brakes, calendars, feeds, to_dos

app_name = "calendar_sync"

urlpatterns = [
    path("", calendars.calendar, name="calendar"),
    path("entries/", calendars.entries, name="entries"),
    path("customers/<int:pk>/", calendars.customer_calendar, name="customer-calendar"),
    path("customers/<int:pk>/to-dos/", to_dos.customer_to_dos, name="customer-to-dos"),
    path("contacts/<int:pk>/", calendars.contact_calendar, name="contact-calendar"),
    path("contacts/<int:pk>/to-dos/", to_dos.contact_to_dos, name="contact-to-dos"),
    path("to-dos/new/", to_dos.action_new, name="action-new"),
    path("to-dos/customers/", to_dos.customer_options, name="customer-options"),
    path("to-dos/contacts/", to_dos.contact_options, name="contact-options"),
    path("to-dos/<int:pk>/", to_dos.action, name="action"),
    path("to-dos/<int:pk>/complete/", to_dos.action_complete, name="action-complete"),
    path("to-dos/<int:pk>/reopen/", to_dos.action_reopen, name="action-reopen"),
    path("to-dos/<int:pk>/move/", to_dos.action_move, name="action-move"),
    path("to-dos/<int:pk>/sync-again/", to_dos.action_sync_again, name="action-sync-again"),
    path("to-dos/<int:pk>/delete/", to_dos.action_delete, name="action-delete"),
    path("to-dos/<int:pk>/restore/", to_dos.action_restore, name="action-restore"),
    path("types/", action_types.action_types, name="action-types"),
    path("types/new/", action_types.action_type_new, name="action-type-new"),
    path("types/<int:pk>/", action_types.action_type, name="action-type"),
    path("types/<int:pk>/delete/", action_types.action_type_delete, name="action-type-delete"),
    path("brake/", brakes.brake, name="brake"),
    path("brake/<int:pk>/release/", brakes.release, name="brake-release"),
    path("address/", feeds.address, name="feed-address"),
    path("address/make/", feeds.make_address, name="feed-make"),
    path("address/revoke/", feeds.revoke_address, name="feed-revoke"),
    path("feed.ics", feeds.feed, name="feed"),
]
