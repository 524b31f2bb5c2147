"""The list of customers and the page of one."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import get_customer, viewer
from accounts.forms import CustomerForm, CustomerListForm
from accounts.models import Customer
from accounts.queries import contacts_of
from accounts.queries import customer_list as find_customers
from accounts.sections import actions_for, shutters_for
from crm_sync.browser import go_to
from crm_sync.forms import posted

CUSTOMERS_ON_A_PAGE = 50
CONTACTS_ON_A_PAGE = 50


@require_safe
def customer_list(request: HttpRequest) -> HttpResponse:
    form = CustomerListForm(request.GET)
    filters = form.values()
    customers = find_customers(viewer(request), **filters)
    page = Paginator(customers, CUSTOMERS_ON_A_PAGE).get_page(request.GET.get("page"))
    is_filtered = any(filters[name] for name in ("q", "status", "mine"))
    context = {"form": form, "page": page, "sort": filters["sort"], "is_filtered": is_filtered}
    return render(request, "accounts/customers.html", context)


@require_safe
def customer_page(request: HttpRequest, pk: int) -> HttpResponse:
    customer = get_customer(request, pk)
    user = viewer(request)
    contacts = Paginator(contacts_of(customer, user), CONTACTS_ON_A_PAGE)
    context = {
        "customer": customer,
        "contacts": contacts.get_page(request.GET.get("contacts")),
        "actions": actions_for(customer=customer.pk),
        "shutters": shutters_for(user, "customer_url", customer.pk),
    }
    return render(request, "accounts/customer.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def customer_new(request: HttpRequest) -> HttpResponse:
    return _edit(request, Customer(account_manager=viewer(request)))


@require_http_methods(["GET", "HEAD", "POST"])
def customer_edit(request: HttpRequest, pk: int) -> HttpResponse:
    return _edit(request, get_customer(request, pk))


def _edit(request: HttpRequest, customer: Customer) -> HttpResponse:
    is_new = customer.pk is None
    back = reverse("accounts:customers") if is_new else customer.get_absolute_url()
    form = CustomerForm(posted(request), instance=customer)
    if form.is_valid():
        customer = form.save()
        messages.success(request, f"{customer} was {'created' if is_new else 'saved'}.")
        return go_to(request, customer)
    context = {"form": form, "customer": customer, "is_new": is_new, "back": back}
    return render(request, "accounts/customer_form.html", context)
