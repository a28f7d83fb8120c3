"""The form of a destination of the audit log."""

from typing import Any

from django import forms

from imodels_app.accounts import streams
from imodels_app.models import Destination, User
from imodels_app.notifications import webhooks
from imodels_app.runtime import foreign_text
from imodels_app.states import EVENT_GROUPS

MOST_DESTINATIONS = 10


class DestinationForm(forms.Form):
    """groups: none means all events."""

    name = forms.CharField(max_length=100, widget=forms.TextInput({"class": "iui-input", "autocomplete": "off"}))
    url = forms.CharField(
        label="Address",
        max_length=2000,
        widget=forms.TextInput({"class": "iui-input", "autocomplete": "off", "inputmode": "url"}),
        help_text="Begins with https://. Its host is among WEBHOOK_HOSTS. It is stored encrypted, and not shown again.",
    )
    secret = forms.CharField(
        label="Signing secret",
        max_length=200,
        widget=forms.PasswordInput({"class": "iui-input", "autocomplete": "off"}),
        help_text="As the receiver has it: whsec_ and 24 to 64 bytes in base64. Not shown again, either.",
    )
    groups = forms.MultipleChoiceField(
        label="Events",
        required=False,
        choices=[(word, label) for word, (label, _) in EVENT_GROUPS.items()],
        widget=forms.CheckboxSelectMultiple({"class": "iui-checkbox"}),
        help_text="Tick none to send all.",
    )

    def clean_name(self) -> str:
        if why := foreign_text.why_not(self.cleaned_data["name"]):
            raise forms.ValidationError(why)
        name = foreign_text.tidy(self.cleaned_data["name"]).strip()
        if Destination.objects.filter(name__iexact=name).exists():
            raise forms.ValidationError("There is a destination of this name.")
        return name

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        if why := webhooks.why_not(url):
            raise forms.ValidationError(why)
        return url

    def clean_secret(self) -> str:
        secret: str = self.cleaned_data["secret"]
        try:
            streams.key_of(secret)
        except ValueError as no:
            raise forms.ValidationError("This is no such secret: whsec_ and 24 to 64 bytes in base64.") from no
        return secret

    def clean(self) -> dict[str, Any]:
        if Destination.objects.count() >= MOST_DESTINATIONS:
            raise forms.ValidationError(f"There are {MOST_DESTINATIONS} destinations already.")
        return self.cleaned_data

    def save(self, *, by: User) -> Destination:
        return streams.make(by=by, **self.cleaned_data)
