"""Addresses of the dashboard: nouns for pages, bare verbs for acts."""

from django.urls import URLPattern

app_name = "imodels"

urlpatterns: list[URLPattern] = []
