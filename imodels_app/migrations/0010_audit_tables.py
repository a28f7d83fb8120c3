"""Tables and indexes of the audit's pages: filters, saved ones, and daily figures."""

import django.db.models.deletion
import django.db.models.functions.text
from django.conf import settings
from django.db import migrations, models

from imodels_app.migrations import _search


class Migration(migrations.Migration):
    dependencies = [
        ("imodels_app", "0009_approvals"),
    ]

    operations = [
        migrations.CreateModel(
            name="DailyFigure",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                (
                    "what",
                    models.CharField(
                        choices=[
                            ("ended", "Operations that ended: kind, state"),
                            ("code", "Operations that failed: code"),
                            ("person", "Operations that ended: requester, state"),
                            ("itwin", "Operations that ended: iTwin, state"),
                            ("took", "Operations that succeeded: kind, how long from request to end"),
                            ("decided", "Decisions: kind, how long from request to decision"),
                            ("lead", "Decisions: lead, verdict"),
                            ("lead_took", "Decisions: lead, how long from request to decision"),
                            ("sent", "Requests to the platform: bucket, the whole day or its busiest minute"),
                        ],
                        max_length=10,
                    ),
                ),
                ("key", models.CharField(max_length=64)),
                ("part", models.CharField(max_length=20)),
                ("number", models.PositiveIntegerField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("what", "day", "key", "part"), name="daily_figure_once")
                ]
            },
        ),
        migrations.CreateModel(
            name="KnownITwin",
            fields=[
                ("itwin_id", models.CharField(max_length=36, primary_key=True, serialize=False)),
                (
                    "name",
                    models.CharField(blank=True, db_index=True, help_text="As it was called last.", max_length=255),
                ),
            ],
        ),
        migrations.CreateModel(
            name="SavedFilter",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "owner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="saved_filters",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("page", models.CharField(choices=[("events", "Events"), ("operations", "Operations")], max_length=10)),
                ("name", models.CharField(max_length=100)),
                ("query", models.TextField(help_text="As an address has it.")),
            ],
            options={
                "ordering": [django.db.models.functions.text.Lower("name"), "pk"],
                "constraints": [
                    models.UniqueConstraint(
                        models.F("owner"),
                        models.F("page"),
                        django.db.models.functions.text.Lower("name"),
                        name="saved_filter_one_name_per_owner",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="SummedDay",
            fields=[
                ("day", models.DateField(primary_key=True, serialize=False)),
                ("at", models.DateTimeField()),
                ("is_over", models.BooleanField(default=False)),
            ],
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["actor", "at"], name="event_actor"),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["verb", "at"], name="event_verb"),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["team_name", "at"], name="event_team"),
        ),
        migrations.AddIndex(
            model_name="operation",
            index=models.Index(
                condition=models.Q(
                    ("state__in", ["cancelled", "expired", "failed", "rejected", "succeeded"]), _negated=True
                ),
                fields=["state"],
                name="operation_open",
            ),
        ),
        migrations.AddIndex(
            model_name="operation",
            index=models.Index(fields=["finished_at"], name="operation_ended"),
        ),
        migrations.AddIndex(
            model_name="operation",
            index=models.Index(fields=["itwin_id", "-created_at"], name="operation_itwin"),
        ),
        migrations.AddIndex(
            model_name="operation",
            index=models.Index(fields=["kind", "-created_at"], name="operation_kind"),
        ),
        migrations.AddIndex(
            model_name="operation",
            index=models.Index(
                condition=models.Q(("source_id", ""), _negated=True), fields=["source_id"], name="operation_source"
            ),
        ),
        migrations.AddIndex(
            model_name="operation",
            index=models.Index(
                condition=models.Q(("failure_code", ""), _negated=True),
                fields=["failure_code", "-created_at"],
                name="operation_code",
            ),
        ),
        migrations.AddIndex(
            model_name="operation",
            index=models.Index(fields=["state", "created_at", "id"], name="operation_state"),
        ),
        migrations.AddIndex(
            model_name="operation",
            index=models.Index(fields=["name", "id"], name="operation_name"),
        ),
        migrations.RunPython(_search.create_indexes, _search.drop_indexes),
        migrations.RunPython(_search.know_itwins, migrations.RunPython.noop),
    ]
