"""Addresses: the dashboard's own, and Django's admin."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("imodels_app.urls")),
]
