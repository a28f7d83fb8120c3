"""Addresses: the dashboard's own, and Django's admin."""

from django.contrib import admin
from django.urls import include, path

from imodels_app.views.sign_in import admin_login

urlpatterns = [
    path("admin/login/", admin_login),
    path("admin/", admin.site.urls),
    path("", include("imodels_app.urls")),
]

handler403 = "imodels_app.error_handlers.forbidden"
handler404 = "imodels_app.error_handlers.not_found"
handler500 = "imodels_app.error_handlers.broken"
