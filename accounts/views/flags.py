"""My Contacts: one click for one contact, check boxes for many."""

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from accounts.access import get_contact, viewer
from accounts.forms import BulkFlagForm
from accounts.models import Contact, MyContact, User
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
    change = _flag if form.cleaned_data["flag"] else _unflag
    sentence, changed = change(user, contacts)
    back = _back(request, "/")
    undo = {
        "sentence": sentence,
        "contacts": changed,
        "flag": form.cleaned_data["flag"],
        "back": back,
    }
    messages.success(request, render_to_string("accounts/flag_message.html", undo, request))
    return redirect(back)


def _flag(user: User, contacts: QuerySet[Contact]) -> tuple[str, list[Contact]]:
    """What was done, and which contacts were not the user's before."""
    new = list(contacts.exclude(flags__user=user))
    MyContact.objects.flag(user, new)
    kept = len(contacts) - len(new)
    sentence = f"{_count(len(new))} added to My Contacts."
    return sentence + (f" {_count(kept)} had been there already." if kept else ""), new


def _unflag(user: User, contacts: QuerySet[Contact]) -> tuple[str, list[Contact]]:
    mine = list(contacts.filter(flags__user=user))
    MyContact.objects.filter(user=user, contact__in=mine).delete()
    return f"{_count(len(mine))} taken out of My Contacts. Emails already here stay.", mine


def _count(number: int) -> str:
    return f"{number} contact" if number == 1 else f"{number} contacts"


def _back(request: HttpRequest, otherwise: str) -> str:
    """The page the form named in `next`, if it is one of ours."""
    address = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(address, allowed_hosts={request.get_host()})
    return address if address and is_ours else otherwise
