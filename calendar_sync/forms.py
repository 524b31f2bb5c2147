"""Forms of the calendar: they validate and convert; the views act."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db.models import Q
from django.urls import reverse_lazy

from accounts.calendar_entries import Kind
from accounts.models import Contact, Customer, User
from calendar_sync.changing import Changes
from calendar_sync.models import ActionItem, ActionType
from calendar_sync.models.actions import IMPORTED, midnight
from crm_sync.forms import TablerForm

#: Lengths that are offered, in minutes.
DURATIONS = (15, 30, 45, 60, 90, 120, 180, 240, 480)
USUAL_DURATION = 30
#: A form's field is called “date”, too.
Day = date
#: More days than any view of a calendar shows.
LONGEST_SPAN = timedelta(days=400)


# --- fields --------------------------------------------------------------------------------------
class CustomerField(forms.CharField):
    """A customer, typed as a number or a name and completed from a list (“C7 · Harbor Foods”)."""

    def __init__(self, **kwargs: Any) -> None:
        attrs = {
            "autocomplete": "off",
            "placeholder": "Name or number",
            "list": "customer-options",
            "hx-get": reverse_lazy("calendar_sync:customer-options"),
            "hx-trigger": "input changed delay:250ms",
            "hx-target": "#customer-options",
            "hx-swap": "innerHTML",
        }
        super().__init__(widget=forms.TextInput(attrs=attrs), **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return written(value) if isinstance(value, Customer) else value

    def to_python(self, value: Any) -> Any:
        if isinstance(value, Customer):
            return value
        text = str(super().to_python(value) or "").strip()
        if not text:
            return None
        number = text.partition(" · ")[0]
        found = list(Customer.objects.filter(Q(number__iexact=number) | Q(name__iexact=text))[:2])
        if len(found) != 1:
            raise ValidationError(
                f"“{text}” is not one customer. Type a part of the name or the number and choose "
                "from the list."
            )
        return found[0]


def written(customer: Customer) -> str:
    return f"{customer.number} · {customer.name}"


class TypeSelect(forms.Select):
    """Each option says whether its items are synced by default; static/calendar.js reads that."""

    def create_option(self, *args: Any, **kwargs: Any) -> Any:
        option: Any = super().create_option(*args, **kwargs)
        if instance := getattr(option["value"], "instance", None):
            option["attrs"]["data-sync"] = "on" if instance.sync_by_default else "off"
        return option


def _day(**kwargs: Any) -> forms.DateField:
    words = "This is not a date."
    return forms.DateField(
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        error_messages={"invalid": words, "required": "Enter a date."},
        # Far beyond, time zones lead out of the calendar.
        validators=[
            MinValueValidator(date(1970, 1, 1), words),
            MaxValueValidator(date(2999, 12, 31), words),
        ],
        **kwargs,
    )


def length_words(minutes: int) -> str:
    """“45 min”, “1 h 30 min”, “2 days”."""
    days, rest = divmod(minutes, 24 * 60)
    hours, left = divmod(rest, 60)
    parts = [
        f"{days} day{'' if days == 1 else 's'}" if days else "",
        f"{hours} h" if hours else "",
        f"{left} min" if left else "",
    ]
    return " ".join(filter(None, parts)) or "no length"


# --- a to-do -------------------------------------------------------------------------------------
class ToDoForm(TablerForm, forms.Form):
    """A to-do as its dialog shows it; times are wall clock in `zone`.

    Each field carries what the user saw (`show_hidden_initial`): `changes` holds only what they
    changed themselves, so that a change from the mail app in the meantime is not undone.
    """

    title = forms.CharField(
        label="Short description",
        max_length=300,
        error_messages={"required": "Enter a short description: it is what the calendar shows."},
    )
    type = forms.ModelChoiceField(
        ActionType.objects.none(),
        empty_label="Choose…",
        widget=TypeSelect,
        error_messages={"required": "Choose a type."},
    )
    customer = CustomerField(required=False)
    contact = forms.ModelChoiceField(
        Contact.objects.none(),
        required=False,
        empty_label="Nobody in particular",
        # Another customer has other contacts.
        widget=forms.Select(
            attrs={
                "hx-get": reverse_lazy("calendar_sync:contact-options"),
                "hx-trigger": "change from:#id_customer",
                "hx-include": "#id_customer",
                "hx-target": "this",
                "hx-swap": "innerHTML",
            }
        ),
        error_messages={"invalid_choice": "Choose a contact of this customer."},
    )
    date = _day()
    all_day = forms.BooleanField(required=False)
    time = forms.TimeField(
        required=False,
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        error_messages={"invalid": "This is not a time."},
    )
    duration = forms.TypedChoiceField(required=False, coerce=int, initial=USUAL_DURATION)
    last_date = _day(required=False, label="Until")
    location = forms.CharField(required=False, max_length=300)
    note = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 3}))
    owner = forms.ModelChoiceField(
        User.objects.none(),
        label="Assigned to",
        empty_label=None,
        error_messages={"required": "Choose who does it."},
    )
    sync = forms.BooleanField(required=False)
    is_completed = forms.BooleanField(required=False, label="Completed")
    completion_note = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))

    def __init__(
        self,
        data: Any,
        *,
        viewer: User,
        zone: tzinfo,
        item: ActionItem | None = None,
        initial: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data, initial=_as_seen(item, zone) if item else initial)
        self.zone = zone
        self.doer = item.owner if item else viewer
        self._choose(viewer, item)
        if not viewer.is_manager:
            del self.fields["owner"]  # a rep does their own
        for field in self.fields.values():
            field.show_hidden_initial = item is not None

    def _choose(self, viewer: User, item: ActionItem | None) -> None:
        """What can be chosen: also what the item has already, though it could not be chosen now."""
        types = ActionType.objects.filter(is_active=True).exclude(name__iexact=IMPORTED)
        owners = User.objects.readable_by(viewer).filter(is_active=True)
        if item:
            types |= ActionType.objects.filter(pk=item.type_id)
            owners |= User.objects.filter(pk=item.owner_id)
        length = self.initial.get("duration", USUAL_DURATION)
        lengths = sorted({*DURATIONS, length})
        self._field("type").queryset = types
        self._field("owner").queryset = owners.distinct()
        self._field("contact").queryset = contacts_of(self._customer())
        self._field("duration").choices = [(length, length_words(length)) for length in lengths]

    def _field(self, name: str) -> Any:
        return self.fields[name]

    def _customer(self) -> Customer | None:
        """The customer that is chosen at the moment: only its contacts can be."""
        try:
            customer: Customer | None = self.fields["customer"].to_python(self["customer"].value())
        except ValidationError:
            return None
        return customer

    def clean(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        if first := cleaned.get("date"):
            if cleaned["all_day"]:
                self._clean_days(first, cleaned.get("last_date") or first)
            else:
                self._clean_time(first)
        return cleaned

    def _clean_days(self, first: Day, last: Day) -> None:
        if last < first:
            self.add_error("last_date", "The last day is before the first one.")
            return
        self.cleaned_data |= {"starts_at": midnight(first), "ends_at": midnight(last)}

    def _clean_time(self, day: Day) -> None:
        clock = self.cleaned_data.get("time")
        if "time" in self.errors:
            return
        if clock is None:
            self.add_error("time", "Enter a time, or switch “All day” on.")
            return
        start = datetime.combine(day, clock, self.zone)
        if not exists(start):
            self.add_error(
                "time", f"The clocks are put forward on that day: {clock:%H:%M} does not exist."
            )
            return
        # Lengths are real time, also over a night in which the clocks are changed.
        start = start.astimezone(UTC)
        length = self.cleaned_data.get("duration")
        minutes = length if isinstance(length, int) else USUAL_DURATION
        self.cleaned_data |= {"starts_at": start, "ends_at": start + timedelta(minutes=minutes)}

    _WHEN = frozenset({"date", "time", "duration", "all_day", "last_date"})

    def values(self) -> Changes:
        """Everything, for a new item."""
        return self._content({"owner": self.doer}, self.fields)

    def changes(self) -> Changes:
        """Only what the user changed."""
        return self._content({}, self.changed_data)

    def _content(self, content: Changes, names: Iterable[str]) -> Changes:
        given = {name: self.cleaned_data[name] for name in names if name not in self._WHEN}
        if self._WHEN & set(names):
            given |= {name: self.cleaned_data[name] for name in ("starts_at", "ends_at", "all_day")}
        return cast(Changes, {**content, **given})


def contacts_of(customer: Customer | None) -> Any:
    return customer.contacts.all() if customer else Contact.objects.none()


def exists(moment: datetime) -> bool:
    """Whether a wall clock ever shows this time: not in the hour skipped in spring."""
    return moment.astimezone(UTC).astimezone(moment.tzinfo).replace(fold=moment.fold) == moment


def _as_seen(item: ActionItem, zone: tzinfo) -> dict[str, Any]:
    """The item as the form's fields show it."""
    start, end = item.starts_at.astimezone(zone), item.ends_at
    seen: dict[str, Any] = {
        name: getattr(item, name)
        for name in ("title", "type", "customer", "contact", "location", "note", "owner", "sync")
    }
    seen |= {
        "all_day": item.all_day,
        "is_completed": item.completed_at is not None,
        "completion_note": item.completion_note,
    }
    if item.all_day:
        return seen | {"date": item.first_day, "last_date": item.last_day, "time": time(9)}
    length = int((end - item.starts_at).total_seconds()) // 60
    clock = start.time().replace(second=0, microsecond=0)
    return seen | {"date": start.date(), "time": clock, "duration": length}


class CompletionForm(TablerForm, forms.Form):
    """All that can be changed of an imported appointment (seed 003: Complete?, Completion note)."""

    is_completed = forms.BooleanField(required=False, label="Completed")
    completion_note = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 3}))

    def __init__(self, data: Any, *, item: ActionItem) -> None:
        seen = {
            "is_completed": item.completed_at is not None,
            "completion_note": item.completion_note,
        }
        super().__init__(data, initial=seen)
        for field in self.fields.values():
            field.show_hidden_initial = True

    def changes(self) -> Changes:
        """Only what the user changed."""
        return cast(Changes, {name: self.cleaned_data[name] for name in self.changed_data})


# --- dragging ------------------------------------------------------------------------------------
class WallClockField(forms.Field):
    """A date, with or without a time, as clocks on the wall show it: naive."""

    default_error_messages = {"invalid": "This is not a date and time."}

    def to_python(self, value: Any) -> datetime | None:
        if not value:
            return None
        try:
            return datetime.fromisoformat(str(value)).replace(tzinfo=None)
        except ValueError:
            raise ValidationError(self.error_messages["invalid"], code="invalid") from None


class MoveForm(forms.Form):
    """Where an entry was dragged to, in wall clock; without `end` it keeps its length.

    An `end` of whole days is exclusive, as calendars in browsers count.
    """

    start = WallClockField()
    end = WallClockField(required=False)
    all_day = forms.BooleanField(required=False)

    def times_for(self, item: ActionItem, *, zone: tzinfo) -> dict[str, Any]:
        """The new times, as `changing.reschedule` takes them."""
        if self.cleaned_data["all_day"]:
            return self._days(item)
        start = self.cleaned_data["start"].replace(tzinfo=zone).astimezone(UTC)
        end = start + (timedelta(hours=1) if item.all_day else item.ends_at - item.starts_at)
        if wanted := self.cleaned_data["end"]:
            end = max(start, wanted.replace(tzinfo=zone).astimezone(UTC))
        return {"all_day": False, "starts_at": start, "ends_at": end}

    def _days(self, item: ActionItem) -> dict[str, Any]:
        start = midnight(self.cleaned_data["start"].date())
        end = start + (item.ends_at - item.starts_at if item.all_day else timedelta())
        if wanted := self.cleaned_data["end"]:
            end = max(start, midnight(wanted.date()) - timedelta(days=1))
        return {"all_day": True, "starts_at": start, "ends_at": end}


# --- the calendar --------------------------------------------------------------------------------
class RangeForm(forms.Form):
    """What a calendar asks for: days (`end` exclusive) in the viewer's zone, and its filters."""

    start = _day()
    end = _day()
    rep = forms.ModelChoiceField(User.objects.none(), required=False)
    customer = forms.ModelChoiceField(Customer.objects.all(), required=False)
    contact = forms.ModelChoiceField(Contact.objects.all(), required=False)
    kind = forms.MultipleChoiceField(
        required=False, choices=[("none", "none"), *((kind.value, kind.value) for kind in Kind)]
    )

    def __init__(self, data: Any, *, viewer: User) -> None:
        super().__init__(data)
        reps = self.fields["rep"]
        assert isinstance(reps, forms.ModelChoiceField)
        reps.queryset = User.objects.readable_by(viewer)

    def clean(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        if "start" in cleaned and "end" in cleaned:
            span = cleaned["end"] - cleaned["start"]
            if not timedelta() < span <= LONGEST_SPAN:
                raise ValidationError("The span of a calendar is one day at least, 400 at most.")
        return cleaned

    def kinds(self) -> Iterable[Kind]:
        chosen = self.cleaned_data["kind"]
        return [kind for kind in Kind if kind.value in chosen] if chosen else Kind


# --- action types --------------------------------------------------------------------------------
class ActionTypeForm(TablerForm, forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = ActionType
        fields = ("name", "sync_by_default", "is_active")
        labels = {"sync_by_default": "Sync new to-dos", "is_active": "Can be chosen"}

    def clean_name(self) -> str:
        name = " ".join(self.cleaned_data["name"].split())
        if name.casefold() == IMPORTED.casefold():
            raise ValidationError(f"“{IMPORTED}” is kept for appointments from people's calendars.")
        same = ActionType.objects.filter(name__iexact=name).exclude(pk=self.instance.pk)
        if same.exists():
            raise ValidationError(f"There is a type “{name}” already.")
        return name
