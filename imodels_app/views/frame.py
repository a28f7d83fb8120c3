"""What every page's frame needs: the context processor behind base.html."""

from typing import Any

from django.http import HttpRequest

from imodels_app.models import Operation


def frame(request: HttpRequest) -> dict[str, Any]:
    """How many requests wait for this person's decision."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {}
    return {"waiting_for_me": Operation.objects.waiting_for(user).count()}
