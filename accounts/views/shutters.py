"""Remembering which sections of the customer page a user has closed."""

from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.views.decorators.http import require_POST

from accounts.access import viewer
from accounts.models import ShutterState


@require_POST
def shutter(request: HttpRequest, section: str) -> HttpResponse:
    user = viewer(request)
    match request.POST.get("state"):
        case "open":
            ShutterState.objects.filter(user=user, section=section).delete()
        case "closed" if len(section) <= 40:
            ShutterState.objects.get_or_create(user=user, section=section)
        case _:
            return HttpResponseBadRequest("A shutter is open or closed.")
    return HttpResponse(status=204)
