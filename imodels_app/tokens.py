"""A platform client that can act for a person, with a token refreshed in time."""

from imodels_app.itwin import Platform
from imodels_app.models import User


class SignInNeeded(Exception):
    """The provider takes this person's refresh token no more: they have to sign in again."""


def platform_for(user: User, *, read_timeout_s: float = 30.0) -> Platform:
    """The platform as this person sees it. Raises SignInNeeded and errors.Unavailable."""
    raise SignInNeeded(str(user.pk))
