"""My Contacts: one click for one contact, check boxes for many."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from accounts.access import get_contact, viewer
from accounts.forms import BulkFlagForm
from accounts.models import MyContact
from crm_sync.browser import is_piece


@require_POST
def contact_flag(request: HttpRequest, pk: int) -> HttpResponse:
    """Set or take away the viewer's flag: `flag` says which, so that a second click is harmless."""
    contact = get_contact(request, pk)
    user = viewer(request)
    if request.POST.get("flag") == "no":
        MyContact.objects.filter(user=user, contact=contact).delete()
    else:
        MyContact.objects.flag(user, [contact])
    if is_piece(request):
        flag = MyContact.objects.filter(user=user, contact=contact).first()
        star = {"contact": contact, "since": flag.since if flag else None}
        return render(request, "accounts/star.html", star)
    return redirect(_back(request, contact.get_absolute_url()))


@require_POST
def contacts_flag(request: HttpRequest) -> HttpResponse:
    """Flag or unflag all chosen contacts of the viewer's."""
    form = BulkFlagForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Choose the contacts first, then what to do with them.")
        return redirect(_back(request, "/"))
    user, contacts = viewer(request), form.cleaned_data["contacts"]
    mine = MyContact.objects.filter(user=user, contact__in=contacts)
    if form.cleaned_data["flag"]:
        added = len(contacts) - mine.count()
        MyContact.objects.flag(user, contacts)
        sentence = f"{added} {_noun(added)} added to My Contacts."
        messages.success(request, sentence + _kept(len(contacts) - added))
    else:
        removed, _ = mine.delete()
        messages.success(
            request,
            f"{removed} {_noun(removed)} taken out of My Contacts. "
            "Their new mail no longer syncs for you; emails already here stay.",
        )
    return redirect(_back(request, "/"))


def _noun(count: int) -> str:
    return "contact" if count == 1 else "contacts"


def _kept(count: int) -> str:
    if not count:
        return ""
    return f" {count} already {'was' if count == 1 else 'were'}, with {'its' if count == 1 else 'their'} date."


def _back(request: HttpRequest, otherwise: str) -> str:
    """The page the form named in `next`, if it is one of ours."""
    address = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(address, allowed_hosts={request.get_host()})
    return address if address and is_ours else otherwise
