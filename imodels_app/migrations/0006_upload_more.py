from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("imodels_app", "0005_leftovers"),
    ]

    operations = [
        migrations.AddField(
            model_name="operation",
            name="upload_until",
            field=models.DateTimeField(help_text="When the link ends, if it says so.", null=True),
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
                    ("storage_down", "The platform's storage not answering"),
                    ("sign_in", "Requester must sign in again"),
                    ("not_permitted", "Requester may not look"),
                    ("same_name", "Another operation with this name"),
                    ("lost_answer", "The answer was lost"),
                ],
                max_length=20,
            ),
        ),
    ]
