"""What all processes share about the platform's limits, and whether it answers."""

from django.db import models

from imodels_app.models.people import User


class Bucket(models.Model):
    """One bucket of the platform's rate limits. Its row is the lock under which claims are counted."""

    name = models.CharField(max_length=10, primary_key=True)
    frozen_until = models.DateTimeField(null=True, help_text="Retry-After of the last 429.")
    one_at_a_time_until = models.DateTimeField(null=True, help_text="After a 429, calls go one at a time until then.")
    no_bursts_until = models.DateTimeField(null=True, help_text="After a 429, calls are spaced evenly until then.")
    # The bucket of all calls drips; those of creations, clones and forks count their attempts instead.
    tokens = models.FloatField(default=0)
    dripped_at = models.DateTimeField(null=True)
    # Of all calls: what one more poll is worth, in seconds for which an end is not noticed (poll_schedule.py).
    poll_worth_s = models.FloatField(null=True)
    # And how many left in each slot of the last minute or hour (allowance.py).
    last_hour = models.JSONField(null=True)
    counted = models.PositiveBigIntegerField(default=0, help_text="Requests of any kind sent so far.")

    def __str__(self) -> str:
        return self.name


class LookupShare(models.Model):
    """What one person has looked up on the platform lately, which fades (`tokens`, at `dripped_at`).

    And when a form of theirs was last heard of, so that a place is kept for what they will ask for.
    """

    person = models.OneToOneField(User, models.CASCADE, primary_key=True, related_name="+")
    tokens = models.FloatField(default=0)
    dripped_at = models.DateTimeField(null=True)
    at_form_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"look-ups of {self.person_id}"


class ITwinList(models.Model):
    """The list of what is being made in an iTwin, asked for instead of each operation (workers/poll_by_list.py)."""

    itwin_id = models.CharField(max_length=36, primary_key=True)
    due_at = models.DateTimeField(db_index=True)
    listed_at = models.DateTimeField(null=True, help_text="The last answer.")
    refused = models.PositiveIntegerField(default=0, help_text="In a row: then somebody else's token is used.")

    def __str__(self) -> str:
        return self.itwin_id


class CircuitBreaker(models.Model):
    """Whether something outside answers (circuit_breaker.py)."""

    name = models.CharField(max_length=20, primary_key=True)
    failures = models.PositiveIntegerField(default=0, help_text="In a row.")
    failing_since = models.DateTimeField(null=True)
    opened_at = models.DateTimeField(null=True, help_text="Since when, or since the last try that failed.")
    open_until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name
