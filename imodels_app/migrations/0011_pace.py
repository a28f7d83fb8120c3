"""When a bucket does without bursts, who has a form open, and how an operation is polled."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("imodels_app", "0010_audit_tables")]

    operations = [
        migrations.AddField(
            "bucket",
            "no_bursts_until",
            models.DateTimeField(help_text="After a 429, calls are spaced evenly until then.", null=True),
        ),
        migrations.AddField("bucket", "poll_worth_s", models.FloatField(null=True)),
        migrations.AddField("lookupshare", "at_form_at", models.DateTimeField(null=True)),
        migrations.CreateModel(
            name="ITwinList",
            fields=[
                ("itwin_id", models.CharField(max_length=36, primary_key=True, serialize=False)),
                ("due_at", models.DateTimeField(db_index=True)),
                ("listed_at", models.DateTimeField(help_text="The last answer.", null=True)),
                (
                    "refused",
                    models.PositiveIntegerField(default=0, help_text="In a row: then somebody else's token is used."),
                ),
            ],
        ),
        migrations.AddField(
            "operation",
            "listed_at",
            models.DateTimeField(
                help_text="Since when a list shows that it is being made, so that it is rarely polled itself.",
                null=True,
            ),
        ),
        migrations.AddField(
            "operation", "polled_at", models.DateTimeField(help_text="When it was last known to run.", null=True)
        ),
        migrations.AddField(
            "operation",
            "bad_polls",
            models.PositiveSmallIntegerField(help_text="In a row, that told nothing; empty: none.", null=True),
        ),
    ]
