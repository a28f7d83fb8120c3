import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from imodels_app.migrations import _data_and_triggers, _decision_triggers


class Migration(migrations.Migration):
    dependencies = [
        ("imodels_app", "0003_sessions"),
    ]

    operations = [
        # SQLite rebuilds tables, which loses their triggers.
        migrations.RunPython(_data_and_triggers.drop_triggers, _data_and_triggers.create_triggers),
        migrations.AddField(
            model_name="decision",
            name="by_email",
            field=models.EmailField(blank=True, db_default="", help_text="As it was then.", max_length=254),
        ),
        migrations.AddField(
            model_name="event",
            name="actor_email",
            field=models.EmailField(blank=True, db_default="", help_text="As it was then.", max_length=254),
        ),
        migrations.AddField(
            model_name="membership",
            name="given_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="membership",
            name="given_by",
            field=models.ForeignKey(
                editable=False,
                help_text="Empty: from the command line.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="notification",
            name="event",
            field=models.ForeignKey(
                help_text="Of a change of rights.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="imodels_app.event",
            ),
        ),
        migrations.AddField(
            model_name="operation",
            name="elsewhere",
            field=models.CharField(
                blank=True,
                db_default="",
                help_text="In what the two iTwins differ: account, region or both.",
                max_length=20,
            ),
        ),
        migrations.AddField(
            model_name="operation",
            name="itwin_number",
            field=models.CharField(blank=True, db_default="", max_length=255),
        ),
        migrations.AddField(
            model_name="operation",
            name="requester_email",
            field=models.EmailField(
                blank=True, db_default="", help_text="As it was then; a verified one.", max_length=254
            ),
        ),
        migrations.AddField(
            model_name="user",
            name="admin_given_by",
            field=models.ForeignKey(
                editable=False,
                help_text="Nobody: DASHBOARD_ADMINS gives and takes it.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AlterField(
            model_name="event",
            name="verb",
            field=models.CharField(help_text="One of states.Verb.", max_length=32),
        ),
        migrations.AlterField(
            model_name="notification",
            name="operation",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="messages",
                to="imodels_app.operation",
            ),
        ),
        migrations.AlterField(
            model_name="operation",
            name="wait_reason",
            field=models.CharField(
                blank=True,
                choices=[
                    ("", "Nothing"),
                    ("rate_limit", "Rate limit"),
                    ("platform_down", "Platform not answering"),
                    ("provider_down", "Sign-in service not answering"),
                    ("storage_down", "Platform's storage not answering"),
                    ("sign_in", "Requester must sign in again"),
                    ("token", "Access token being refreshed"),
                    ("key_missing", "A worker lacks a key"),
                    ("not_permitted", "Requester may not view it"),
                    ("account_closed", "Requester's account is closed"),
                    ("same_name", "Another operation with this name"),
                    ("lost_answer", "The answer was lost"),
                ],
                max_length=20,
            ),
        ),
        migrations.CreateModel(
            name="RefusedAccess",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("verb", models.CharField(help_text="One of states.Verb.", max_length=32)),
                (
                    "address",
                    models.CharField(
                        blank=True, help_text="Empty: of all that came after too many others.", max_length=45
                    ),
                ),
                ("since", models.DateTimeField()),
                ("count", models.PositiveBigIntegerField(default=1)),
                ("client", models.CharField(blank=True, help_text="The user agent of the first one.", max_length=200)),
                ("note", models.CharField(blank=True, help_text="Why the first one was refused.", max_length=200)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("verb", "address", "since"), name="refused_access_once_per_window")
                ],
            },
        ),
        migrations.RunPython(_data_and_triggers.create_triggers, _data_and_triggers.drop_triggers),
        migrations.RunPython(_decision_triggers.create_triggers, _decision_triggers.drop_triggers),
    ]
