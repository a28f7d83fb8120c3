"""What a sign-in is good for, so that its person can be told what it lacks; and who wants to be told of which end."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("imodels_app", "0013_team")]

    operations = [
        migrations.AddField(
            "tokenset",
            "scope",
            models.TextField(blank=True, null=True, help_text="What it is good for, where the provider says so."),
        ),
        migrations.AlterField(
            "notification",
            "kind",
            models.CharField(
                max_length=24,
                choices=[
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
                    ("escalated", "Nobody has answered by half of the time"),
                    ("commented", "Somebody wrote a comment"),
                    ("sent", "Sent to the platform"),
                    ("ended", "Ended"),
                    ("expired", "Expired"),
                    ("succeeded", "Succeeded"),
                    ("failed", "Failed"),
                    ("sign_in", "Sign in again"),
                    ("unknown_state", "A platform state that nobody here knows"),
                    ("subscribed", "One that they asked to be told about has ended"),
                ],
            ),
        ),
        migrations.AlterField(
            "savedfilter",
            "page",
            models.CharField(
                choices=[
                    ("events", "Events"),
                    ("operations", "Operations"),
                    ("table", "The table of operations"),
                ],
                max_length=10,
            ),
        ),
        migrations.CreateModel(
            name="Subscription",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "operation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="subscriptions",
                        to="imodels_app.operation",
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="subscriptions",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("person", "operation"), name="subscription_once")],
            },
        ),
    ]
