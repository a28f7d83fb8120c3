"""Which team decides about a copy: that of its source, or, where that one lets it through, that of its target."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("imodels_app", "0016_changes"),
    ]

    operations = [
        migrations.AddField(
            model_name="operation",
            name="is_decided_at_source",
            field=models.BooleanField(
                help_text="Whether the team of its source’s iTwin decides. Empty, of before: if it has a source.",
                null=True,
            ),
        ),
    ]
