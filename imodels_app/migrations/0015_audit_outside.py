"""What is made outside iModel Desk, and where events are streamed to."""

import django.db.models.deletion
import django.db.models.functions.text
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("imodels_app", "0014_everyday"),
    ]

    operations = [
        migrations.CreateModel(
            name="SeenIModel",
            fields=[
                ("imodel_id", models.CharField(max_length=36, primary_key=True, serialize=False)),
                ("itwin_id", models.CharField(db_index=True, max_length=36)),
                ("name", models.CharField(max_length=255)),
                (
                    "is_hidden",
                    models.BooleanField(default=False, help_text="There, and not shown to who looked last."),
                ),
                ("gone_at", models.DateTimeField(help_text="When it was no longer there.", null=True)),
            ],
        ),
        migrations.CreateModel(
            name="WatchedITwin",
            fields=[
                ("itwin_id", models.CharField(max_length=36, primary_key=True, serialize=False)),
                ("since", models.DateTimeField(help_text="What was made before is not told of.")),
                ("due_at", models.DateTimeField(db_index=True)),
                ("looked_at", models.DateTimeField(help_text="The last look that came to its end.", null=True)),
                (
                    "refused",
                    models.PositiveIntegerField(default=0, help_text="In a row: then somebody else's token is used."),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Destination",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=100)),
                ("host", models.CharField(help_text="The part of the address that is no secret.", max_length=255)),
                ("url", models.TextField(help_text="Encrypted.")),
                ("key", models.TextField(help_text="With which messages are signed; encrypted.")),
                (
                    "events",
                    models.JSONField(default=list, help_text="Groups of states.EVENT_GROUPS; empty: all events."),
                ),
                ("position", models.BigIntegerField(help_text="The line of the log that is sent next.")),
                (
                    "due_at",
                    models.DateTimeField(
                        db_index=True, help_text="Also the sender's lease. Empty: switched off.", null=True
                    ),
                ),
                ("failures", models.PositiveIntegerField(default=0, help_text="In a row.")),
                ("note", models.CharField(blank=True, help_text="What is in the way.", max_length=255)),
                ("sent_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": [django.db.models.functions.text.Lower("name"), "pk"],
                "constraints": [
                    models.UniqueConstraint(django.db.models.functions.text.Lower("name"), name="destination_one_name")
                ],
            },
        ),
        migrations.CreateModel(
            name="Watch",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("since", models.DateTimeField()),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="watches", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "team",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="watches", to="imodels_app.team"
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("team", "person"), name="watch_once")],
            },
        ),
    ]
