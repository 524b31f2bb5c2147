"""Coming in, going out, and where one lands."""

from typing import Any

from django.contrib.auth import logout as sign_out
from django.contrib.auth import views as auth_views
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import HttpResponseClientRefresh

from accounts.access import viewer
from crm_sync.browser import is_piece


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Admins begin at the monitor, everybody else at the customers."""
    if viewer(request).is_admin:
        return redirect("monitor:mailboxes")
    return redirect("accounts:customers")


@method_decorator(login_not_required, name="dispatch")
class LoginView(auth_views.LoginView):
    redirect_authenticated_user = True

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        # A piece of a page was asked for after the session ended: the whole page has to move.
        if is_piece(request):
            return HttpResponseClientRefresh()
        return super().dispatch(request, *args, **kwargs)


@require_POST
def logout(request: HttpRequest) -> HttpResponse:
    sign_out(request)
    return redirect("accounts:login")
