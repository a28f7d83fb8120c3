"""What proves the log's own heads, and keeps a message of a stream as it was until it is taken; and lets addresses be dropped."""

from typing import Any

import django.db.models.deletion
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from imodels_app.migrations import _address_triggers


# Expressions, which only PostgreSQL has: what the filter by code, and the search for a request's id, look into.
INDEXES = {"event_code": "((data -> 'code'))", "event_request": "((data -> 'request_id'))"}


def create_indexes(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        for name, expression in INDEXES.items():
            schema_editor.execute(f"CREATE INDEX {name} ON imodels_app_event {expression}", params=None)


def drop_indexes(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        for name in INDEXES:
            schema_editor.execute(f"DROP INDEX IF EXISTS {name}", params=None)


class Migration(migrations.Migration):
    dependencies = [
        ("imodels_app", "0019_asked_again"),
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
        migrations.AlterField(
            model_name="dailyfigure",
            name="what",
            field=models.CharField(
                choices=[
                    ("ended", "Operations that ended: kind, state"),
                    ("code", "Operations that failed: code"),
                    ("person", "Operations that ended: requester, state"),
                    ("itwin", "Operations that ended: iTwin, state"),
                    ("took", "Operations that succeeded: kind, how long from request to end"),
                    ("decided", "Decisions: kind, how long after its round of approval had begun"),
                    ("lead", "Decisions: lead, verdict"),
                    ("lead_took", "Decisions: lead, how long after its round of approval had begun"),
                    ("sent", "Requests to the platform: bucket, the whole day or its busiest minute"),
                ],
                max_length=10,
            ),
        ),
        migrations.RunPython(_address_triggers.replace, _address_triggers.restore),
        migrations.RunPython(create_indexes, drop_indexes),
    ]
