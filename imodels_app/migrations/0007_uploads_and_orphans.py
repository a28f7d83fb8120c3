import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

OF_AN_UPLOAD = ["upload_after", "upload_link", "storage_type", "upload_until", "uploading_by", "sent_bytes"]
OF_AN_ORPHAN = [
    *("shell", "shell_by", "shell_by_name", "shell_at"),
    *("shell_anyway", "shell_after", "shell_sent_at", "shell_note"),
]


class Migration(migrations.Migration):
    dependencies = [
        ("imodels_app", "0006_upload_more"),
    ]

    operations = [
        migrations.RemoveIndex("operation", "operation_upload"),
        migrations.RemoveIndex("operation", "operation_shell"),
        migrations.DeleteModel("UploadedBlock"),
        *(migrations.RemoveField("operation", name) for name in OF_AN_UPLOAD + OF_AN_ORPHAN),
        migrations.CreateModel(
            name="Upload",
            fields=[
                (
                    "operation",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="upload",
                        serialize=False,
                        to="imodels_app.operation",
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                ("due_at", models.DateTimeField(null=True)),
                ("link", models.TextField(blank=True)),
                ("link_until", models.DateTimeField(help_text="When the link ends, if it says so.", null=True)),
                ("storage_type", models.CharField(blank=True, max_length=10)),
                (
                    "sent_bytes",
                    models.PositiveBigIntegerField(default=0, help_text="What the storage has acknowledged."),
                ),
            ],
            options={
                "indexes": [
                    models.Index(condition=models.Q(("due_at__isnull", False)), fields=["due_at"], name="upload_due")
                ],
            },
        ),
        migrations.CreateModel(
            name="UploadedBlock",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField()),
                (
                    "upload",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="blocks", to="imodels_app.upload"
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("upload", "number"), name="block_once")],
            },
        ),
        migrations.CreateModel(
            name="Orphan",
            fields=[
                (
                    "operation",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="orphan",
                        serialize=False,
                        to="imodels_app.operation",
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("left", "Left over"),
                            ("deleting", "Deleting"),
                            ("usable", "Usable after all"),
                            ("deleted", "Deleted"),
                            ("gone", "Gone already"),
                        ],
                        default="left",
                        max_length=10,
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                ("changed_at", models.DateTimeField(help_text="Since when it is so.")),
                ("due_at", models.DateTimeField(null=True)),
                ("requested_by_name", models.CharField(blank=True, max_length=255)),
                ("even_if_usable", models.BooleanField(default=False)),
                (
                    "sent_at",
                    models.DateTimeField(help_text="When the platform was asked to delete it.", null=True),
                ),
                ("note", models.TextField(blank=True, help_text="What is in the way.")),
                (
                    "requested_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="deletions",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(condition=models.Q(("due_at__isnull", False)), fields=["due_at"], name="orphan_due")
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("due_at__isnull", False), ("state", "deleting")),
                            models.Q(models.Q(("state", "deleting"), _negated=True), ("due_at", None)),
                            _connector="OR",
                        ),
                        name="orphan_due_while_deleting",
                    )
                ],
            },
        ),
    ]
