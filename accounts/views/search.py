"""The search at the top: customers and contacts, while typing or as a page."""

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.models import Contact, Customer
from accounts.models.customers import ContactQuerySet, CustomerQuerySet
from crm_sync.browser import is_piece

SHOWN_WHILE_TYPING = 6
SHOWN_ON_THE_PAGE = 50


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    words = request.GET.get("q", "").strip()[:200]
    limit = SHOWN_WHILE_TYPING if is_piece(request) else SHOWN_ON_THE_PAGE
    found = {
        "words": words,
        "limit": limit,
        "customers": _customers(words)[:limit],
        "contacts": _contacts(words)
        .select_related("customer")
        .prefetch_related("addresses")[:limit],
    }
    name = "search_results.html" if is_piece(request) else "search.html"
    return render(request, f"accounts/{name}", found)


def _customers(words: str) -> CustomerQuerySet:
    """Customers in whose name or number every word occurs; their people are found beside them."""
    found = Customer.objects.all() if words else Customer.objects.none()
    for word in words.split():
        found = found.filter(Q(name__icontains=word) | Q(number__icontains=word))
    return found


def _contacts(words: str) -> ContactQuerySet:
    """Contacts in whose name or addresses every word occurs."""
    found = Contact.objects.all() if words else Contact.objects.none()
    for word in words.split():
        found = found.search(word)
    return found
