"""iModels that something was asked to be made from, by name; and what was made from one, by index."""

from typing import Any

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

INDEXES = {
    "operation_made_of": ["source_id", "-created_at"],
    "operation_team_made_of": ["team", "source_id", "-created_at"],
    "operation_my_made_of": ["requested_by", "source_id", "-created_at"],
}


def know_sources(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    schema_editor.execute(
        "INSERT INTO imodels_app_knownsource (imodel_id, name) SELECT DISTINCT source_id, source_name"
        " FROM imodels_app_operation WHERE source_id <> '' AND source_name <> ''",
        params=None,
    )


class Migration(migrations.Migration):
    dependencies = [("imodels_app", "0020_audit_mends")]

    operations = [
        migrations.CreateModel(
            name="KnownSource",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("imodel_id", models.CharField(max_length=36)),
                ("name", models.CharField(max_length=255)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("imodel_id", "name"), name="knownsource_once")],
            },
        ),
        *(
            migrations.AddIndex(
                "operation",
                models.Index(name=name, fields=fields, condition=models.Q(("source_id", ""), _negated=True)),
            )
            for name, fields in INDEXES.items()
        ),
        migrations.RunPython(know_sources, migrations.RunPython.noop),
    ]
