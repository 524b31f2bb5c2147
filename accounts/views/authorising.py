"""Choosing the provider, and the way back from it."""

from typing import Any
from urllib.parse import urlsplit

from csp.decorators import csp_update
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from accounts import authorisation, gateway
from accounts.access import get_mailbox, viewer
from accounts.models import Mailbox, MailboxSync, User
from crm_sync.providers.errors import ProviderError

_nylas = urlsplit(settings.NYLAS_API_URI)

#: Browsers apply form-action to every redirect that follows a form: to Nylas, and on to whichever
#: provider it is, whose addresses cannot be listed. Only this page may send a form there.
_may_leave = csp_update({"form-action": [f"{_nylas.scheme}://{_nylas.netloc}", "https:"]})


@_may_leave
@require_http_methods(["GET", "HEAD", "POST"])
def authorise(request: HttpRequest) -> HttpResponse:
    """GET shows the provider that belongs to the address, and the others; POST goes there."""
    user = viewer(request)
    address = authorisation.expected_address(user)
    if not address:
        messages.warning(request, "Enter the address of your mailbox first, and save.")
        return redirect("accounts:email-integration")
    if request.method == "POST":
        return _leave_for(request, request.POST.get("provider", ""))
    context: dict[str, Any] = {
        "mailbox": get_mailbox(user),
        "address": address,
        "providers": Mailbox.Provider.choices,
        "tab": "email",
    }
    try:
        context["detected"] = _known(gateway.nylas().detect_provider(address))
    except ProviderError as error:
        context["error"] = str(error)
    return render(request, "accounts/authorise.html", context)


def _known(provider: str | None) -> Mailbox.Provider | None:
    return Mailbox.Provider(provider) if provider in Mailbox.Provider.values else None


def _leave_for(request: HttpRequest, provider: str) -> HttpResponse:
    if provider not in Mailbox.Provider.values:
        messages.error(request, "Choose your mail provider first.")
        return redirect("accounts:authorise")
    try:
        url = authorisation.begin(
            request.session,
            viewer(request),
            provider=provider,
            gateway=gateway.nylas(),
            now=timezone.now(),
        )
    except ProviderError as error:
        messages.error(request, f"{error} Nothing was changed. Try again later.")
        return redirect("accounts:authorise")
    return HttpResponseRedirect(url)


@login_not_required
@require_safe
def authorise_callback(request: HttpRequest) -> HttpResponse:
    """The provider sends the browser here, whatever came of it.

    Who is signed out by then is sent on to sign in without the code, which must stay in no address.
    """
    user = request.user
    if not isinstance(user, User):
        return redirect("accounts:email-integration")
    try:
        mailbox = authorisation.complete(
            request.session,
            user,
            request.GET,
            gateway=gateway.nylas(),
            now=timezone.now(),
        )
    except authorisation.AuthorisationFailed as failure:
        messages.error(request, str(failure))
    else:
        was_read = mailbox.syncs.filter(
            kind=MailboxSync.Kind.EMAIL, backfilled_at__isnull=False
        ).exists()
        what_now = (
            "Reading goes on where it stopped."
            if was_read
            else "The first sync has begun; its progress is shown below."
        )
        messages.success(
            request, f"Connection Authorized for {mailbox.authorised_address}. {what_now}"
        )
    return redirect("accounts:email-integration")
