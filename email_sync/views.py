"""Reading mail: the emails of a customer or contact, one email, and how far a first reading is."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import trigger_client_event

from accounts import audit
from accounts.access import get_contact, get_customer, get_readable_user, viewer
from accounts.audit import Action
from accounts.models import Contact, Customer, Mailbox
from crm_sync.browser import go_to, is_piece
from email_sync import queries
from email_sync.coverage import coverage_by_mailbox, folder_figures
from email_sync.models import Email
from email_sync.models.emails import EmailQuerySet

# The text of an email is a stranger's: it runs nothing, loads nothing and has no origin of its own.
BODY_POLICY = (
    "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'self'"
)

# The frame's lowest and greatest height, and a line's, in pixels.
LEAST_HEIGHT, GREATEST_HEIGHT, LINE_HEIGHT = 160, 520, 22


@require_safe
@never_cache
def customer_emails(request: HttpRequest, pk: int) -> HttpResponse:
    """The section of the customer page."""
    customer = get_customer(request, pk)
    emails = Email.objects.readable_by(viewer(request)).of_customer(customer)
    return _email_list(request, emails, customer)


@require_safe
@never_cache
def contact_emails(request: HttpRequest, pk: int) -> HttpResponse:
    """The section of the contact page."""
    contact = get_contact(request, pk)
    emails = Email.objects.readable_by(viewer(request)).of_contact(contact)
    return _email_list(request, emails, contact)


def _email_list(
    request: HttpRequest, emails: EmailQuerySet, owner: Customer | Contact
) -> HttpResponse:
    user = viewer(request)
    context: dict[str, object] = {
        "list_url": request.path,
        "owner": owner,
        "is_contact": isinstance(owner, Contact),
    }
    if key := request.GET.get("thread"):
        context["emails"] = queries.whole_thread(emails, viewer=user, key=key)
        return render(request, "email_sync/thread_rows.html", context)
    found = queries.thread_page(emails, viewer=user, number=request.GET.get("page"))
    context |= {"threads": found.threads, "page": found.page}
    return render(request, "email_sync/email_list.html", context)


@require_safe
@never_cache
def email_detail(request: HttpRequest, pk: int) -> HttpResponse:
    user = viewer(request)
    email = get_object_or_404(queries.with_details(Email.objects.readable_by(user)), pk=pk)
    audit.record(Action.OPENED_EMAIL, actor=user, owner=email.user, about=f"email {email.pk}")
    context = {
        "email": email,
        "participants": queries.participants_by_role(email),
        "reply_to": queries.reply_addresses(email),
        "reply_subject": reply_subject(email.subject),
        "frame_height": frame_height(email.body_text),
        "sources": queries.sources_of(email),
        "copies": queries.copies_of(email, user),
    }
    return render(request, "email_sync/email_detail.html", context)


def frame_height(text: str) -> int:
    """A height that fits most texts: no script may measure what the frame shows."""
    lines = sum(1 + len(line) // 80 for line in text[:10_000].splitlines())
    return max(LEAST_HEIGHT, min(GREATEST_HEIGHT, 60 + lines * LINE_HEIGHT))


def reply_subject(subject: str) -> str:
    return subject if subject.casefold().startswith("re:") else f"Re: {subject}"


@require_safe
@never_cache
@xframe_options_sameorigin
def email_body(request: HttpRequest, pk: int) -> HttpResponse:
    """The text alone, for the frame on the email's page."""
    email = get_object_or_404(Email.objects.readable_by(viewer(request)), pk=pk)
    response = render(request, "email_sync/email_body.html", {"email": email})
    response["Content-Security-Policy"] = BODY_POLICY
    response["X-Content-Type-Options"] = "nosniff"
    response["Referrer-Policy"] = "no-referrer"
    return response


@require_POST
def delete_email(request: HttpRequest, pk: int) -> HttpResponse:
    """Hide it in the CRM; the mail app keeps it."""
    user = viewer(request)
    email = get_object_or_404(Email.objects.readable_by(user), pk=pk)
    queries.hide(email, viewer=user, now=timezone.now())
    undo = {"url": reverse("email_sync:email-restore", args=[email.pk])}
    sentence = render_to_string("email_sync/deleted_message.html", undo, request=request)
    messages.success(request, sentence)
    return _changed(request, "accounts:home", closes_dialog=True)


@require_POST
def restore_email(request: HttpRequest, pk: int) -> HttpResponse:
    """Undo a deletion."""
    user = viewer(request)
    email = get_object_or_404(Email.objects.hidden_from(user), pk=pk)
    queries.unhide(email, viewer=user)
    messages.success(request, "The email is back.")
    return _changed(request, "email_sync:email-detail", email.pk)


def _changed(
    request: HttpRequest, to: str, *args: object, closes_dialog: bool = False
) -> HttpResponse:
    """Tell the page that emails changed, so that its lists ask again; a whole page goes to `to`."""
    if not is_piece(request):
        return go_to(request, to, *args)
    response = render(request, "messages.html", {"is_extra": True})
    trigger_client_event(response, "emails-changed", after="swap")
    if closes_dialog:
        trigger_client_event(response, "dialog-close", after="swap")
    return response


@require_safe
@never_cache
def progress(request: HttpRequest) -> HttpResponse:
    """How far the first reading of a mailbox has come; empty when it is complete."""
    user = viewer(request)
    asked_for = request.GET.get("user", "")
    owner = get_readable_user(request, int(asked_for)) if asked_for.isdecimal() else user
    mailbox = Mailbox.objects.filter(user=owner).first()
    found = queries.progress_of(mailbox, now=timezone.now()) if mailbox else None
    context = {"progress": found, "owner": owner}
    return render(request, "email_sync/progress.html", context)


@require_safe
@never_cache
def coverage(request: HttpRequest, pk: int) -> HttpResponse:
    """How many of a user's messages the ledger has, by folder, and the days with a gap."""
    owner = get_readable_user(request, pk)
    mailbox = Mailbox.objects.select_related("coverage_check").filter(user=owner).first()
    context = {
        "owner": owner,
        "mailbox": mailbox,
        "check": getattr(mailbox, "coverage_check", None),
        "total": coverage_by_mailbox([mailbox]).get(mailbox.pk) if mailbox else None,
        "folders": folder_figures(mailbox) if mailbox else [],
    }
    return render(request, "email_sync/coverage.html", context)
