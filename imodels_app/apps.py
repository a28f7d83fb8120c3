from importlib import import_module

from django.apps import AppConfig
from django.core import checks
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate

from imodels_app import grants
from imodels_app.checks import check_databases
from imodels_app.runtime import sqlite_like


class IModelsAppConfig(AppConfig):
    name = "imodels_app"
    label = "imodels_app"
    verbose_name = "iModel Desk"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # It hears what accounts.rights tells, in every process: commands, too.
        import_module("imodels_app.lifecycle")
        checks.register(check_databases, checks.Tags.database)
        connection_created.connect(sqlite_like.teach)
        post_migrate.connect(grants.grant, sender=self)
        # Imported here: it knows the models.
        post_migrate.connect(import_module("imodels_app.search_index").keep, sender=self)
