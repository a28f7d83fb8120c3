"""What stands above every page: the platform does not answer, or somebody has to sign in again."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count
from django.db.models.functions import Lower

from imodels_app.display import formats
from imodels_app.limits import circuit_breaker
from imodels_app.models import Operation, TokenSet, User
from imodels_app.states import FINISHED, WaitReason

MOST_TWINS = 5


@dataclass(frozen=True)
class Banners:
    """sign_in: how many of the person's operations wait for their sign-in.

    twins: for admins, addresses that several accounts share
    lacks: a scope that the person's sign-in came without
    """

    outage: circuit_breaker.Outage | None
    sign_in: int
    twins: tuple[str, ...] = ()
    lacks: str = ""

    @classmethod
    def of(cls, user: User, now: datetime) -> "Banners":
        """Three queries, for admins four."""
        waiting = Operation.objects.filter(requested_by=user, wait_reason=WaitReason.SIGN_IN)
        waiting = waiting.exclude(state__in=sorted(FINISHED))
        tokens = TokenSet.objects.filter(user=user).only("scope").first()
        return cls(
            outage=circuit_breaker.outage(now),
            sign_in=waiting.count(),
            twins=_twins() if user.is_admin else (),
            lacks=tokens.lacks if tokens else "",
        )

    @property
    def visible_state(self) -> list[str]:
        """For a live page's token: what can be read, so that it changes by the minute at most."""
        outage = [formats.clock(self.outage.since), formats.clock(self.outage.until)] if self.outage else []
        return [*outage, str(self.sign_in), *self.twins, self.lacks]

    @property
    def announcement(self) -> str:
        """For screen readers, once it appears."""
        if self.outage:
            return "The platform is not answering, nothing is lost"
        return "Sign in again, your operations are waiting for it" if self.sign_in else ""


def _twins() -> tuple[str, ...]:
    """Addresses that two open accounts share: for every decision they are one person."""
    shared = User.objects.filter(is_active=True).exclude(email="").values(address=Lower("email"))
    twice = shared.annotate(accounts=Count("pk")).filter(accounts__gt=1).order_by("address")
    return tuple(twice.values_list("address", flat=True)[:MOST_TWINS])
