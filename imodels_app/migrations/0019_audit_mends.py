"""What proves the log's own heads, and keeps a message of a stream as it was until it is taken; and lets addresses be dropped."""

import django.db.models.deletion
from django.db import migrations, models

from imodels_app.migrations import _address_triggers


class Migration(migrations.Migration):
    dependencies = [
        ("imodels_app", "0018_kinds"),
    ]

    operations = [
        migrations.AddField(
            model_name="destination",
            name="end",
            field=models.BigIntegerField(
                help_text="Behind the message that is under way, until it is taken.", null=True
            ),
        ),
        migrations.AddField(
            model_name="destination",
            name="head",
            field=models.ForeignKey(
                db_constraint=False,
                help_text="Of the last head of the log that it has taken.",
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="imodels_app.event",
            ),
        ),
        migrations.AddField(
            model_name="destination",
            name="most",
            field=models.PositiveSmallIntegerField(
                help_text="Events in a message, since a larger one got a 413.", null=True
            ),
        ),
        migrations.AddField(
            model_name="loghead",
            name="chain",
            field=models.BinaryField(help_text="Hash of this head and of the chain before it.", null=True),
        ),
        migrations.RunPython(_address_triggers.replace, _address_triggers.restore),
    ]
