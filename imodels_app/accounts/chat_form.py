"""Where messages about a team's requests go: the form, and what it stores."""

from django import forms
from django.core.exceptions import ValidationError
from django.utils.crypto import salted_hmac

from imodels_app.accounts import encryption, rights
from imodels_app.models import Team, User, Webhook
from imodels_app.notifications import channels, webhooks
from imodels_app.states import Chat

_INPUT = {"class": "iui-input"}
LONGEST = 2000


class ChatForm(forms.Form):
    """The address that a chat gave for a team's messages. It is never shown again."""

    team = forms.ModelChoiceField(Team.objects.all(), widget=forms.Select(_INPUT), empty_label=None)
    chat = forms.ChoiceField(choices=Chat.choices, widget=forms.Select(_INPUT))
    url = forms.CharField(
        label="Webhook address",
        max_length=LONGEST,
        error_messages={"required": "Paste the address that the chat gave you."},
        widget=forms.TextInput(_INPUT | {"autocomplete": "off", "spellcheck": "false"}),
    )

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        if why := webhooks.why_not(url):
            raise ValidationError(why)
        return url

    def save(self, *, by: User | None) -> Webhook:
        """Raises permissions.Denied."""
        team, url = self.cleaned_data["team"], self.cleaned_data["url"]
        webhook = Webhook.objects.filter(team=team).first() or Webhook(team=team)
        webhook.chat, webhook.host = self.cleaned_data["chat"], webhooks.host_of(url)
        webhook.url = encryption.encrypt(url)
        webhook.fingerprint = salted_hmac("webhook", url, algorithm="sha256").hexdigest()[:8]
        rights.save(webhook, by=by)
        channels.record_success(channels.to_chat(webhook.pk))  # another address may answer: it is tried at once
        return webhook
