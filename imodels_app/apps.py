from django.apps import AppConfig
from django.core import checks
from django.db.backends.signals import connection_created

from imodels_app.checks import check_databases
from imodels_app.runtime import sqlite_like


class IModelsAppConfig(AppConfig):
    name = "imodels_app"
    label = "imodels_app"
    verbose_name = "iModel Desk"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        checks.register(check_databases, checks.Tags.database)
        connection_created.connect(sqlite_like.teach)
