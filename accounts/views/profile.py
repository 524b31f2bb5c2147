"""The signed-in user's own data."""

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts.access import viewer
from accounts.forms import ProfileForm
from accounts.models import User, UserAlias
from accounts.sections import profile_cards
from crm_sync.forms import posted


@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    # A row of its own: a refused form must not change the name in the page's frame.
    user = User.objects.get(pk=viewer(request).pk)
    form = ProfileForm(posted(request), instance=user)
    if form.is_valid():
        with transaction.atomic():
            form.save()
            set_aliases(user, form.cleaned_data["aliases"])
        messages.success(request, "Your profile was saved.")
        return redirect("accounts:profile")
    context = {"form": form, "tab": "profile", "owner": user, "cards": profile_cards()}
    return render(request, "accounts/profile.html", context)


def set_aliases(user: User, addresses: list[str]) -> None:
    """Make these, normalised, the user's aliases."""
    user.aliases.exclude(address__in=addresses).delete()
    known = set(user.aliases.values_list("address", flat=True))
    for address in addresses:
        if address not in known:
            UserAlias.objects.create(user=user, address=address)
