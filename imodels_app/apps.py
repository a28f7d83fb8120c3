from django.apps import AppConfig
from django.core import checks
from django.db.models.signals import post_migrate

from imodels_app.checks import check_databases


class IModelsAppConfig(AppConfig):
    name = "imodels_app"
    label = "imodels_app"
    verbose_name = "iModel Desk"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from imodels_app import grants  # with the models, which are ready now

        checks.register(check_databases, checks.Tags.database)
        post_migrate.connect(grants.grant, sender=self)
