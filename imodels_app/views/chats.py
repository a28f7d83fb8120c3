"""Where messages about each team's requests go: administrators say so."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from imodels_app.accounts import rights
from imodels_app.accounts.chat_form import ChatForm
from imodels_app.decorators import auditor, person, throttled
from imodels_app.limits import throttles
from imodels_app.models import Webhook
from imodels_app.runtime.foreign_text import isolated


@auditor
@require_http_methods(["GET", "HEAD", "POST"])
@throttled(throttles.RULES)
def chat_list(request: HttpRequest) -> HttpResponse:
    """Which team has a chat, by its host alone: the address is a secret. And the form to set one."""
    form = ChatForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        webhook = form.save(by=person(request))
        messages.success(request, f"Messages about requests of {isolated(webhook.team)} go to {webhook}.")
        return redirect("imodels:chat-list")
    chats = Webhook.objects.select_related("team").order_by("team__name")
    context = {"form": form, "chats": chats, "section": "approvals"}
    return render(request, "approvals/chats.html", context, status=422 if form.errors else 200)


@require_POST
@auditor
@throttled(throttles.RULES)
def remove_chat(request: HttpRequest, pk: int) -> HttpResponse:
    """Send nothing there any more."""
    webhook = get_object_or_404(Webhook.objects.select_related("team"), pk=pk)
    rights.delete(webhook, by=person(request))
    messages.success(request, f"No chat gets messages about requests of {isolated(webhook.team)} any more.")
    return redirect("imodels:chat-list")
