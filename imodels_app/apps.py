from django.apps import AppConfig


class IModelsAppConfig(AppConfig):
    name = "imodels_app"
    label = "imodels_app"
    verbose_name = "iModel Desk"
    default_auto_field = "django.db.models.BigAutoField"
