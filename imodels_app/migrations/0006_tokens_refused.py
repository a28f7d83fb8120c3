from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("imodels_app", "0005_true_reasons"),
    ]

    operations = [
        migrations.AddField(
            model_name="tokenset",
            name="refused_since",
            field=models.DateTimeField(help_text="Since when the platform refuses even refreshed tokens.", null=True),
        ),
    ]
