"""Addresses of people, customers and mailboxes."""

from django.urls import path

from accounts.views import (
    authorising,
    contacts,
    customers,
    email_integration,
    flags,
    profile,
    search,
    shutters,
    sign_in,
)

app_name = "accounts"

urlpatterns = [
    path("", sign_in.home, name="home"),
    path("login/", sign_in.LoginView.as_view(), name="login"),
    path("logout/", sign_in.logout, name="logout"),
    path("search/", search.search, name="search"),
    path("customers/", customers.customer_list, name="customers"),
    path("customers/new/", customers.customer_new, name="customer-new"),
    path("customers/<int:pk>/", customers.customer_page, name="customer"),
    path("customers/<int:pk>/edit/", customers.customer_edit, name="customer-edit"),
    path("customers/<int:pk>/contacts/new/", contacts.contact_new, name="contact-new"),
    path("contacts/flag/", flags.contacts_flag, name="contacts-flag"),
    path("contacts/<int:pk>/", contacts.contact_page, name="contact"),
    path("contacts/<int:pk>/edit/", contacts.contact_edit, name="contact-edit"),
    path("contacts/<int:pk>/delete/", contacts.contact_delete, name="contact-delete"),
    path("contacts/<int:pk>/flag/", flags.contact_flag, name="contact-flag"),
    path("shutters/<slug:section>/", shutters.shutter, name="shutter"),
    path("profile/", profile.profile, name="profile"),
    path("profile/email-integration/", email_integration.own_mailbox, name="email-integration"),
    path("profile/email-integration/authorise/", authorising.authorise, name="authorise"),
    path(
        "profile/email-integration/callback/",
        authorising.authorise_callback,
        name="authorise-callback",
    ),
    path(
        "users/<int:pk>/email-integration/",
        email_integration.mailbox_of_user,
        name="user-email-integration",
    ),
    path(
        "users/<int:pk>/email-integration/connection/",
        email_integration.connection,
        name="connection",
    ),
    path("users/<int:pk>/email-integration/folders/", email_integration.folders, name="folders"),
    path(
        "users/<int:pk>/email-integration/calendars/",
        email_integration.calendars,
        name="calendars",
    ),
    path("users/<int:pk>/email-integration/sync/", email_integration.sync_now, name="sync-now"),
    path(
        "users/<int:pk>/email-integration/disconnect/",
        email_integration.disconnect,
        name="disconnect",
    ),
]
