"""A lead who was away is asked about what still waits, once; and a message says that somebody else set the start."""

from django.db import migrations, models

KINDS = [
    ("requested", "A request awaits approval"),
    ("approved", "Approved"),
    ("rejected", "Rejected"),
    ("changes_requested", "Changes requested"),
    ("edited", "The request has changed"),
    ("decided", "Somebody else decided"),
    ("bypassed", "Approval bypassed"),
    ("approval_lapsed", "Approval not used in time"),
    ("half_way", "Half of the time to decide is over"),
    ("last_day", "The time to decide ends soon"),
    ("escalated", "Nothing is decided by half of the time"),
    ("commented", "Somebody wrote a comment"),
    ("start_set", "Somebody else set when it starts"),
    ("sent", "Sent to the platform"),
    ("ended", "Ended"),
    ("expired", "Expired"),
    ("succeeded", "Succeeded"),
    ("failed", "Failed"),
    ("sign_in", "Sign in again"),
    ("unknown_state", "A platform state that nobody here knows"),
    ("subscribed", "One that they asked to be told about has ended"),
]


class Migration(migrations.Migration):
    dependencies = [("imodels_app", "0018_kinds")]

    operations = [
        # Neither rebuilds its table, so their triggers stay.
        migrations.AddField(
            "absence",
            "back_at",
            models.DateTimeField(
                editable=False,
                help_text="When the lead was asked about what still waited; empty: not over.",
                null=True,
            ),
        ),
        migrations.AlterField("notification", "kind", models.CharField(choices=KINDS, max_length=24)),
    ]
