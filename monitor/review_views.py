"""The review list: messages of the intake about which an admin decides, once."""

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db import IntegrityError, transaction
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import audit
from accounts.access import admin_required, viewer
from accounts.audit import Action
from accounts.models import User
from crm_sync.browser import go_to
from email_sync import reviewing
from email_sync.models import IntakeReview, LedgerEntry, TrustedSender
from monitor.histories import history_rows
from monitor.review_forms import AliasForm, CorrectionForm, OriginalForm, ReviewFilter

REVIEWS_PER_PAGE = 50
Kind = IntakeReview.Kind


@admin_required
@require_safe
@never_cache
def reviews(request: HttpRequest) -> HttpResponse:
    filters = ReviewFilter(request.GET)
    is_decided = filters.value("tab") == "decided"
    found = IntakeReview.objects.select_related("entry__user", "entry__intake", "decided_by")
    if is_decided:
        found = found.exclude(decided_at=None).order_by("-decided_at", "-pk")
    else:
        found = found.open()
    if kind := filters.value("kind"):
        found = found.filter(kind=kind)
    context = {
        "page": Paginator(found, REVIEWS_PER_PAGE).get_page(request.GET.get("page")),
        "filters": filters,
        "kind": kind,
        "is_decided": is_decided,
        "open_count": IntakeReview.objects.open().count(),
    }
    return render(request, "monitor/intake_reviews.html", context)


@admin_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def review(request: HttpRequest, pk: int) -> HttpResponse:
    """One message: what was read of it, and the decision that its kind asks for."""
    found = get_object_or_404(
        IntakeReview.objects.select_related("entry__user", "entry__intake", "decided_by"), pk=pk
    )
    data = request.POST if request.method == "POST" else None
    forms = _forms(found, data)
    if data is not None:
        answered = _answer(request, found, data.get("decision", ""), forms)
        if answered is not None:
            return answered
    claimed = (found.entry.trace.get("intake") or {}).get("claimed") or {}
    [row] = history_rows([found.entry], viewer=viewer(request))
    context = {"review": found, "claimed": claimed.get("name", ""), "row": row, **forms}
    return render(request, "monitor/intake_review.html", context)


def _forms(found: IntakeReview, data: Any) -> dict[str, Any]:
    """The form of the review's kind; bound where something was posted."""
    if found.decided_at is not None:
        return {}
    if found.kind == Kind.FORWARD:
        initial = CorrectionForm.initial_of(found.extracted)
        return {"form": CorrectionForm(data, initial=initial)}
    if found.kind == Kind.DUPLICATE:
        originals = reviewing.originals(found)
        return {"form": OriginalForm(data, originals=originals), "originals": originals}
    if found.kind == Kind.UNREGISTERED:
        return {"form": AliasForm(data, users=User.objects.filter(is_active=True))}
    return {}


def _answer(
    request: HttpRequest, found: IntakeReview, decision: str, forms: dict[str, Any]
) -> HttpResponse | None:
    """Carry out a decision and go back to the list; None where the form must be shown again."""
    by = viewer(request)
    try:
        if not _decide(found, decision, forms.get("form"), by=by):
            return None
    except reviewing.Refused as refusal:
        messages.error(request, str(refusal))
        return go_to(request, "monitor:intake-review", found.pk)
    entry = LedgerEntry.objects.select_related("user").get(pk=found.entry_id)
    about = f"{found.get_kind_display()}: {found.get_decision_display()}"
    audit.record(Action.DECIDED_REVIEW, actor=by, owner=entry.user, about=about)
    if found.decision == IntakeReview.Decision.DISMISSED:
        undo = {"url": reverse("monitor:intake-reopen", args=[found.pk])}
        message = render_to_string("monitor/dismissed_message.html", undo, request=request)
        messages.success(request, message)
    else:
        messages.success(request, _outcome(entry, reader=by))
    return go_to(request, "monitor:intake-reviews")


def _decide(found: IntakeReview, decision: str, form: Form | None, *, by: User) -> bool:
    """Whether a decision could be read from what was posted, and was carried out.

    Raises reviewing.Refused.
    """
    now = timezone.now()
    simple = {
        "approve": reviewing.approve,
        "trust": reviewing.trust,
        "dismiss": reviewing.dismiss,
        "retry": reviewing.retry,
    }
    if decision in simple:
        simple[decision](found, by=by, now=now)
        return True
    if form is None or not form.is_valid():
        return False
    if isinstance(form, CorrectionForm):
        values = form.cleaned_data
        reviewing.correct(found, by=by, now=now, sender=values["sender"], date=form.corrected_date)
    elif isinstance(form, OriginalForm):
        reviewing.choose_original(found, by=by, now=now, email_id=form.email_id)
    else:
        _add_alias(form.cleaned_data["user"], str(found.extracted.get("from", "")), by=by)
        try:
            reviewing.retry(found, by=by, now=now)
        except reviewing.Refused as refusal:
            raise reviewing.Refused(f"The alias is added. {refusal}") from None
    return True


@admin_required
@require_POST
def reopen(request: HttpRequest, pk: int) -> HttpResponse:
    """Undo a dismissal."""
    found = get_object_or_404(IntakeReview.objects.select_related("entry__user"), pk=pk)
    try:
        with transaction.atomic():
            reviewing.reopen(found)
            audit.record(
                Action.DECIDED_REVIEW,
                actor=viewer(request),
                owner=found.entry.user,
                about=f"{found.get_kind_display()}: dismissal undone",
            )
        messages.success(request, "The message waits for a decision again.")
    except reviewing.Refused as refusal:
        messages.error(request, str(refusal))
    return go_to(request, "monitor:intake-reviews")


def _add_alias(user: User, address: str, *, by: User) -> None:
    """Make the address one of the user's. Raises Refused where it is somebody else's already."""
    about = "Added an alias from the intake's review"
    try:
        with transaction.atomic():
            user.aliases.create(address=address)
            audit.record(Action.TRUSTED_SENDER, actor=by, owner=user, about=about)
    except IntegrityError:
        if not user.aliases.filter(address=address).exists():
            raise reviewing.Refused("This address is another user's alias already.") from None


def _outcome(entry: LedgerEntry, *, reader: User) -> str:
    """What came of a decision, in a sentence."""
    [row] = history_rows([entry], viewer=reader)
    if entry.outcome == LedgerEntry.Outcome.MATCHED:
        people = "; ".join(f"{person.customer} · {person.name}" for person in row.people)
        return f"Matched: {people or ', '.join(entry.contacts)}."
    again = IntakeReview.objects.open().filter(entry=entry).first()
    if again is not None:
        return f"Decided, and there is one more question: {again.get_kind_display().lower()}."
    return f"Not matched: {row.reason}"


@admin_required
@require_safe
def trusted_senders(request: HttpRequest) -> HttpResponse:
    found = TrustedSender.objects.select_related("user", "trusted_by")
    page = Paginator(found, REVIEWS_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "monitor/trusted_senders.html", {"page": page})


@admin_required
@require_POST
def distrust(request: HttpRequest, pk: int) -> HttpResponse:
    """Mail from the address needs Gmail's word again."""
    trusted = get_object_or_404(TrustedSender.objects.select_related("user"), pk=pk)
    address, user = trusted.address, trusted.user
    with transaction.atomic():
        trusted.delete()
        about = "No longer trusts a sender"
        audit.record(Action.TRUSTED_SENDER, actor=viewer(request), owner=user, about=about)
    messages.success(
        request, f"{address} is no longer trusted: its mail needs proof or an approval again."
    )
    return go_to(request, "monitor:trusted-senders")
