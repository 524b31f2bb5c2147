"""Who may open what. Every view gets its objects and its viewer here; a stranger gets 404.

Customers and contacts are open to everybody who is signed in. Mail is not: whose mail somebody may
read is `User.objects.readable_by`, and every query for emails starts from it.
"""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404

from accounts.models import Contact, Customer, Mailbox, User

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def viewer(request: HttpRequest) -> User:
    """The signed-in user."""
    if not isinstance(request.user, User):
        raise Http404
    return request.user


def role_required(is_allowed: Callable[[User], bool]) -> Callable[[View[P]], View[P]]:
    """A view for those users only; for all others it is not there (404)."""

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if not is_allowed(viewer(request)):
                raise Http404
            return view(request, *args, **kwargs)

        return guarded

    return decorate


def admin_required(view: View[P]) -> View[P]:
    return role_required(lambda user: user.is_admin)(view)


def manager_required(view: View[P]) -> View[P]:
    """For managers and admins: those who see other people's mail."""
    return role_required(lambda user: user.is_manager)(view)


def get_customer(request: HttpRequest, pk: int) -> Customer:
    viewer(request)
    return get_object_or_404(Customer.objects.select_related("account_manager"), pk=pk)


def get_contact(request: HttpRequest, pk: int) -> Contact:
    user = viewer(request)
    contacts = Contact.objects.select_related("customer").prefetch_related("addresses")
    return get_object_or_404(contacts.with_my_contact_flag(user), pk=pk)


def get_readable_user(request: HttpRequest, pk: int) -> User:
    """A user whose mail the viewer may read: own, a manager's reps, for an admin everybody."""
    return get_object_or_404(User.objects.readable_by(viewer(request)), pk=pk)


def get_mailbox_owner(request: HttpRequest, pk: int) -> User:
    """A user whose mailbox settings the viewer may see and change: own; an admin everybody's."""
    user = viewer(request)
    if pk == user.pk:
        return user
    if not user.is_admin:
        raise Http404
    return get_object_or_404(User, pk=pk)


def get_mailbox(owner: User) -> Mailbox:
    """The user's mailbox with its syncs; a new one, not yet stored, where there is none."""
    mailboxes = Mailbox.objects.select_related("user").prefetch_related("syncs")
    return mailboxes.filter(user=owner).first() or Mailbox(user=owner)
