"""The lists of what is never logged: the organisation's, and each user's own."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.html import format_html
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import admin_required, viewer
from accounts.models import User
from crm_sync.forms import posted
from email_sync.excluding import ExclusionForm, exclude
from email_sync.models import Exclusion

PER_PAGE = 100


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def exclusions(request: HttpRequest) -> HttpResponse:
    """What nobody's mail is logged with; admins only."""
    return _exclusions(request, owner=None)


@require_http_methods(["GET", "HEAD", "POST"])
def my_exclusions(request: HttpRequest) -> HttpResponse:
    """What the viewer's own mail is never logged with, beside the organisation's."""
    return _exclusions(request, owner=viewer(request))


def _exclusions(request: HttpRequest, *, owner: User | None) -> HttpResponse:
    form = ExclusionForm(posted(request))
    if request.method == "POST" and form.is_valid():
        is_new = exclude(**form.cleaned_data, user=owner)
        word = "is never logged from now on" if is_new else "was on the list already"
        messages.success(request, f"Mail with {form.cleaned_data['value']} {word}.")
        return redirect(request.path)
    text = request.GET.get("text", "").strip()
    shown = Exclusion.objects.filter(user=owner, value__contains=text.casefold())
    context = {
        "form": form,
        "owner": owner,
        "text": text,
        "page": Paginator(shown, PER_PAGE).get_page(request.GET.get("page")),
        "everybodys": Exclusion.objects.filter(user=None).count() if owner else 0,
    }
    return render(request, "email_sync/exclusions.html", context)


@require_POST
def remove_exclusion(request: HttpRequest, pk: int) -> HttpResponse:
    """Take one off its list: an admin any of everybody's, each user their own."""
    user = viewer(request)
    mine = Exclusion.objects.filter(user=user)
    removable = mine | Exclusion.objects.filter(user=None) if user.is_admin else mine
    exclusion = get_object_or_404(removable, pk=pk)
    exclusion.delete()
    page = "email_sync:my-exclusions" if exclusion.user_id else "email_sync:exclusions"
    messages.success(
        request,
        format_html(
            "New mail with {} is logged again. What was left out stays out. "
            '<button class="btn btn-sm" form="undo" name="value" value="{}">Undo</button>',
            exclusion.value,
            exclusion.value,
        ),
    )
    return redirect(page)
