"""What changed lately, for live pages."""

from django.db import migrations, models

from imodels_app.migrations import _change_triggers


class Migration(migrations.Migration):
    dependencies = [("imodels_app", "0012_preferences")]

    operations = [
        migrations.CreateModel(
            name="Change",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.BigIntegerField()),
                ("at", models.DateTimeField()),
                (
                    "about",
                    models.CharField(
                        choices=[
                            ("operation", "Operation"),
                            ("rights", "Rights"),
                            ("limits", "Limits"),
                            ("outage", "Outage"),
                        ],
                        max_length=10,
                    ),
                ),
                ("operation_id", models.UUIDField(null=True)),
                ("person_id", models.BigIntegerField(null=True)),
                ("team_id", models.BigIntegerField(null=True)),
                ("is_asking", models.BooleanField(default=False)),
                ("is_queued", models.BooleanField(default=False)),
            ],
            options={"indexes": [models.Index(fields=["number"], name="change_number")]},
        ),
        migrations.RunPython(_change_triggers.create_triggers, _change_triggers.drop_triggers),
    ]
