"""A person's tokens, encrypted. Written in accounts/tokens.py only."""

from django.db import models

from imodels_app.models.people import User

# What the platform's APIs ask of a token.
PLATFORM_SCOPE = "itwin-platform"


class TokenSet(models.Model):
    """A person's tokens, encrypted (tokens.py), with the lease that lets one process at a time refresh them."""

    user = models.OneToOneField(User, models.CASCADE, related_name="tokens")
    access_token = models.TextField()
    refresh_token = models.TextField(blank=True)
    id_token = models.TextField(blank=True, help_text="Shown to the provider at sign-out.")
    expires_at = models.DateTimeField()
    obtained_at = models.DateTimeField()
    refreshed_at = models.DateTimeField(null=True, help_text="Empty: not since the sign-in.")
    refreshing_by = models.UUIDField(null=True, help_text="Who holds the lease to refresh.")
    refreshing_until = models.DateTimeField(null=True)
    refused_since = models.DateTimeField(null=True, help_text="Since when the platform refuses even refreshed tokens.")
    scope = models.TextField(blank=True, null=True, help_text="What it is good for, where the provider says so.")
    sign_in_needed = models.BooleanField(default=False, help_text="The provider no longer accepts the refresh token.")

    def __str__(self) -> str:
        return f"tokens of {self.user_id}"  # never their values

    @property
    def lacks(self) -> str:
        """The scope that the platform asks for, if the provider did not grant it; "" where it did, or does not say."""
        return PLATFORM_SCOPE if self.scope and PLATFORM_SCOPE not in self.scope.split() else ""
