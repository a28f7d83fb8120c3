"""What holds for every answer, whatever made it."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils.cache import add_never_cache_headers

Answer = Callable[[HttpRequest], HttpResponse]

PROBES = ("/healthz", "/readyz")
# Nothing of a browser's is used but the clipboard, to copy ids.
NOT_USED = (
    *("accelerometer", "autoplay", "bluetooth", "browsing-topics", "camera", "display-capture", "encrypted-media"),
    *("fullscreen", "gamepad", "geolocation", "gyroscope", "hid", "identity-credentials-get", "idle-detection"),
    *("interest-cohort", "local-fonts", "magnetometer", "microphone", "midi", "otp-credentials", "payment"),
    *("picture-in-picture", "publickey-credentials-create", "publickey-credentials-get", "screen-wake-lock", "serial"),
    *("storage-access", "usb", "web-share", "window-management", "xr-spatial-tracking"),
)
PERMISSIONS_POLICY = ", ".join(f"{feature}=()" for feature in NOT_USED)


def probes(get_answer: Answer) -> Answer:
    """Health checks are answered by any name: an orchestrator knows addresses. What they tell depends on none."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if request.path_info in PROBES:
            request.META["HTTP_HOST"] = "localhost"
        return get_answer(request)

    return middleware


def headers(get_answer: Answer) -> Answer:
    """What a browser may not do for our pages; and no cache keeps what went wrong."""

    def middleware(request: HttpRequest) -> HttpResponse:
        answer = get_answer(request)
        answer.headers["Permissions-Policy"] = PERMISSIONS_POLICY
        if answer.status_code >= 400:
            add_never_cache_headers(answer)
        return answer

    return middleware
