"""Forms as Tabler draws them; templates/field.html draws one field."""

from typing import Any

from django import forms
from django.http import HttpRequest, QueryDict


class TablerForm(forms.BaseForm):
    """Mix in before Form or ModelForm: gives each widget the class of its kind."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs.setdefault("class", _css_class(field.widget))


def posted(request: HttpRequest) -> QueryDict | None:
    """A form's data: what was posted, also when that is nothing; None before anything was."""
    return request.POST if request.method == "POST" else None


def _css_class(widget: forms.Widget) -> str:
    if isinstance(widget, forms.CheckboxInput | forms.CheckboxSelectMultiple | forms.RadioSelect):
        return "form-check-input"
    if isinstance(widget, forms.Select):
        return "form-select"
    return "form-control"
