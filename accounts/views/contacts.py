"""The page of a contact; creating, changing and deleting one."""

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import get_contact, get_customer, viewer
from accounts.forms import ContactForm
from accounts.models import Contact, MyContact
from accounts.queries import history_of
from accounts.sections import actions_for, shutters_for
from crm_sync.browser import go_to
from crm_sync.forms import posted


@require_safe
def contact_page(request: HttpRequest, pk: int) -> HttpResponse:
    contact = get_contact(request, pk)
    user = viewer(request)
    flag = MyContact.objects.filter(user=user, contact=contact).first()
    context = {
        "contact": contact,
        "since": flag.since if flag else None,
        "actions": actions_for(contact=contact.pk),
        "shutters": shutters_for(user, "contact_url", contact.pk),
    }
    return render(request, "accounts/contact.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def contact_new(request: HttpRequest, pk: int) -> HttpResponse:
    """A new contact of customer `pk`."""
    return _edit(request, Contact(customer=get_customer(request, pk)))


@require_http_methods(["GET", "HEAD", "POST"])
def contact_edit(request: HttpRequest, pk: int) -> HttpResponse:
    return _edit(request, get_contact(request, pk))


def _edit(request: HttpRequest, contact: Contact) -> HttpResponse:
    is_new = contact.pk is None
    back = (contact.customer if is_new else contact).get_absolute_url()
    form = ContactForm(posted(request), instance=contact)
    if form.is_valid():
        with transaction.atomic():
            contact = form.save()
            contact.set_addresses(form.cleaned_data["addresses"])
        done = "added. Click the star to sync your mail with them." if is_new else "saved."
        messages.success(request, f"{contact} was {done}")
        return go_to(request, back)
    context = {"form": form, "contact": contact, "is_new": is_new, "back": back}
    return render(request, "accounts/contact_form.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def contact_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Only a contact that no email belongs to: deleting must not tear up a customer's history."""
    contact = get_contact(request, pk)
    history = history_of(contact)
    if request.method == "POST" and not history:
        contact.delete()
        messages.success(request, f"{contact} was deleted.")
        return go_to(request, contact.customer)
    context = {"contact": contact, "history": history}
    return render(request, "accounts/contact_delete.html", context)
