"""Addresses: the dashboard's own, and Django's admin."""

from django.contrib import admin
from django.urls import include, path

from imodels_app.views.sign_in import admin_login, sign_out

urlpatterns = [
    # Before the admin's own, which know nothing of the provider: nobody has a password here.
    path("admin/login/", admin_login, name="admin-login"),
    path("admin/logout/", sign_out, name="admin-logout"),
    path("admin/password_change/", admin_login, name="admin-password"),
    path("admin/password_change/done/", admin_login, name="admin-password-done"),
    path("admin/", admin.site.urls),
    path("", include("imodels_app.urls")),
]

handler403 = "imodels_app.error_handlers.forbidden"
handler404 = "imodels_app.error_handlers.not_found"
handler500 = "imodels_app.error_handlers.broken"
