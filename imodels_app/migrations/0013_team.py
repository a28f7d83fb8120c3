"""Deputies of absent leads, chats of teams, starts later, and who is looking."""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models

from imodels_app.migrations import _deputy_triggers


class Migration(migrations.Migration):
    dependencies = [
        ("imodels_app", "0012_preferences"),
    ]

    operations = [
        migrations.CreateModel(
            name="Absence",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("given_at", models.DateTimeField(editable=False)),
                (
                    "told_at",
                    models.DateTimeField(
                        editable=False,
                        help_text="When the deputy was asked about what waited; empty: not begun.",
                        null=True,
                    ),
                ),
            ],
            options={
                "ordering": ["starts_at", "pk"],
            },
        ),
        migrations.CreateModel(
            name="ChatMessage",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("written_at", models.DateTimeField()),
                ("due_at", models.DateTimeField(help_text="When to try next; empty: never again.", null=True)),
                ("tries", models.PositiveSmallIntegerField(default=0)),
                ("sent_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Look",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("until", models.DateTimeField()),
            ],
            options={
                "ordering": ["until", "pk"],
            },
        ),
        migrations.CreateModel(
            name="Webhook",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("chat", models.CharField(choices=[("teams", "Microsoft Teams"), ("slack", "Slack")], max_length=10)),
                ("url", models.TextField(help_text="Encrypted (accounts.encryption).")),
                ("host", models.CharField(help_text="The part of the address that is no secret.", max_length=255)),
                (
                    "fingerprint",
                    models.CharField(help_text="Tells two addresses apart, and nothing of them.", max_length=8),
                ),
            ],
        ),
        migrations.AddField(
            model_name="decision",
            name="stands_for",
            field=models.ForeignKey(
                help_text="The absent lead whose deputy decided.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="notification",
            name="mail",
            field=models.UUIDField(
                help_text="The e-mail that tells it: the same one each time that it is tried.", null=True
            ),
        ),
        migrations.AddField(
            model_name="operation",
            name="not_before",
            field=models.DateTimeField(help_text="It is not sent earlier, and its use-by counts from then.", null=True),
        ),
        migrations.AddField(
            model_name="user",
            name="daily_mail",
            field=models.CharField(
                blank=True, help_text="Kinds of e-mail they get once a day, with spaces.", max_length=255, null=True
            ),
        ),
        migrations.AlterField(
            model_name="notification",
            name="kind",
            field=models.CharField(
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
                ],
                max_length=24,
            ),
        ),
        migrations.AlterField(
            model_name="operation",
            name="wait_reason",
            field=models.CharField(
                blank=True,
                choices=[
                    ("", "Nothing"),
                    ("spaced", "Sent one after another"),
                    ("own_limit", "This minute's requests are sent"),
                    ("rate_limit", "The platform's rate limit is reached"),
                    ("platform_down", "Platform not answering"),
                    ("provider_down", "Sign-in service not answering"),
                    ("storage_down", "Platform's storage not answering"),
                    ("sign_in", "Requester must sign in again"),
                    ("token", "Access token being refreshed"),
                    ("key_missing", "A worker lacks a key"),
                    ("not_permitted", "Requester may not view it"),
                    ("account_closed", "Requester's account is closed"),
                    ("refused", "Platform refused the question"),
                    ("same_name", "Another operation with this name"),
                    ("lost_answer", "The answer was lost"),
                    ("nobody_decides", "Nobody is left who may decide"),
                    ("not_before", "Not to be sent before a certain time"),
                ],
                max_length=20,
            ),
        ),
        migrations.AddConstraint(
            model_name="decision",
            constraint=models.UniqueConstraint(
                condition=models.Q(("stands_for__isnull", False)),
                fields=("operation", "request_hash", "stands_for"),
                name="decision_once_per_absent_lead",
            ),
        ),
        migrations.AddField(
            model_name="absence",
            name="deputy",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="stands_in", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="absence",
            name="given_by",
            field=models.ForeignKey(
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="absence",
            name="lead",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="absences", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="absence",
            name="team",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="absences", to="imodels_app.team"
            ),
        ),
        migrations.AddField(
            model_name="chatmessage",
            name="event",
            field=models.ForeignKey(
                help_text="What it tells of.",
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="imodels_app.event",
            ),
        ),
        migrations.AddField(
            model_name="chatmessage",
            name="operation",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="chat_messages", to="imodels_app.operation"
            ),
        ),
        migrations.AddField(
            model_name="look",
            name="operation",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="looks", to="imodels_app.operation"
            ),
        ),
        migrations.AddField(
            model_name="look",
            name="person",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="webhook",
            name="team",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.CASCADE, related_name="webhook", to="imodels_app.team"
            ),
        ),
        migrations.AddField(
            model_name="chatmessage",
            name="webhook",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="messages", to="imodels_app.webhook"
            ),
        ),
        migrations.AddConstraint(
            model_name="absence",
            constraint=models.CheckConstraint(
                condition=models.Q(("starts_at__lt", models.F("ends_at"))), name="absence_begins_before_it_ends"
            ),
        ),
        migrations.AddConstraint(
            model_name="absence",
            constraint=models.CheckConstraint(
                condition=models.Q(("lead", models.F("deputy")), _negated=True), name="absence_deputy_is_somebody_else"
            ),
        ),
        migrations.AddConstraint(
            model_name="look",
            constraint=models.UniqueConstraint(fields=("operation", "person"), name="look_once_per_person"),
        ),
        migrations.AddIndex(
            model_name="chatmessage",
            index=models.Index(condition=models.Q(("sent_at", None)), fields=["due_at"], name="chat_message_due"),
        ),
        migrations.AddConstraint(
            model_name="chatmessage",
            constraint=models.UniqueConstraint(fields=("webhook", "event"), name="chat_message_once_per_event"),
        ),
        migrations.RunPython(_deputy_triggers.replace, _deputy_triggers.restore),
    ]
