"""Addresses of the dashboard: nouns for pages, bare verbs for acts."""

from django.templatetags.static import static
from django.urls import URLPattern, path
from django.utils.functional import lazy
from django.views.generic import RedirectView

from imodels_app.views import (
    approval_card,
    approvals,
    audit,
    edit_request,
    find,
    health,
    help_page,
    lineage,
    new_imodel,
    numbers,
    operating,
    operations,
    orphans,
    pickers,
    preferences,
    presets,
    rules,
    sessions,
    sign_in,
    streams,
    theme,
    uploads,
    watches,
)

app_name = "imodels"

# What browsers ask for where no page tells them of an icon: for a file, or an answer without one.
favicon = RedirectView.as_view(url=lazy(static, str)("img/mark.svg"), http_method_names=["get", "head"])

urlpatterns: list[URLPattern] = [
    path(
        "", RedirectView.as_view(pattern_name="imodels:operation-list", http_method_names=["get", "head"]), name="home"
    ),
    path("operating/", operating.operating, name="operating"),
    path("metrics", operating.metrics, name="metrics"),
    path("favicon.ico", favicon, name="favicon"),
    path("find/", find.find, name="find"),
    path("help/", help_page.help_page, name="help"),
    path("preferences/", preferences.preferences, name="preferences"),
    path("theme", theme.theme, name="theme"),
    path("operations/", operations.operation_list, name="operation-list"),
    path("operations/cancel", operations.cancel_selected, name="cancel-selected"),
    path("operations/<uuid:pk>/", operations.operation_detail, name="operation-detail"),
    path("operations/<uuid:pk>/lineage", lineage.lineage, name="lineage"),
    path("operations/<uuid:pk>/cancel", operations.cancel, name="cancel"),
    path("orphans/", orphans.orphan_list, name="orphan-list"),
    path("orphans/<uuid:pk>/", orphans.orphan_detail, name="orphan-detail"),
    path("orphans/<uuid:pk>/delete", orphans.delete_orphan, name="delete-orphan"),
    path("approvals/", approvals.approval_list, name="approval-list"),
    path("approvals/rules/", rules.rule_list, name="rule-list"),
    path("approvals/rules/new", rules.new_rule, name="new-rule"),
    path("approvals/rules/<int:pk>/", rules.rule_detail, name="rule-detail"),
    path("approvals/rules/<int:pk>/switch", rules.switch_rule, name="switch-rule"),
    path("approvals/<uuid:pk>/", approvals.approval_detail, name="approval-detail"),
    path("approvals/<uuid:pk>/facts", approval_card.approval_facts, name="approval-facts"),
    path("approvals/<uuid:pk>/approve", approvals.approve, name="approve"),
    path("approvals/<uuid:pk>/reject", approvals.reject, name="reject"),
    path("approvals/<uuid:pk>/request-changes", approvals.request_changes, name="request-changes"),
    path("approvals/<uuid:pk>/bypass", approvals.bypass, name="bypass"),
    path("approvals/<uuid:pk>/edit", edit_request.edit_request, name="edit-request"),
    path("audit/", audit.audit, name="audit"),
    path("audit/export", audit.audit_export, name="audit-export"),
    path("audit/operations/", audit.audit_operations, name="audit-operations"),
    path("audit/operations/<uuid:pk>/", audit.audit_case, name="audit-case"),
    path("audit/numbers/", numbers.audit_numbers, name="audit-numbers"),
    path("audit/people/<int:pk>/", audit.audit_person, name="audit-person"),
    path("audit/itwins/<slug:itwin_id>/", audit.audit_itwin, name="audit-itwin"),
    path("audit/imodels/<slug:imodel_id>/", audit.audit_imodel, name="audit-imodel"),
    path("audit/streams/", streams.stream_list, name="streams"),
    path("audit/streams/<int:pk>/switch", streams.switch_stream, name="switch-stream"),
    path("audit/streams/<int:pk>/replay", streams.replay_stream, name="replay-stream"),
    path("audit/streams/<int:pk>/delete", streams.delete_stream, name="delete-stream"),
    path("audit/outside/look", watches.look_outside, name="look-outside"),
    path("audit/filters", audit.save_filter, name="save-filter"),
    path("audit/filters/<int:pk>/delete", audit.delete_filter, name="delete-filter"),
    # Asking for a new iModel.
    path("new/", new_imodel.new, name="new"),
    path("new/empty/", new_imodel.request_empty, name="request-empty"),
    path("new/template/", new_imodel.request_template, name="request-template"),
    path("new/baseline/", new_imodel.request_baseline, name="request-baseline"),
    path("new/clone/", new_imodel.request_clone, name="request-clone"),
    path("new/fork/", new_imodel.request_fork, name="request-fork"),
    # Baseline files in pieces, by the tus protocol.
    path("new/baseline/files/", uploads.staged_files, name="staged-files"),
    path("new/baseline/files/<uuid:pk>", uploads.staged_file, name="staged-file"),
    path("new/baseline/files/<uuid:pk>/remove", uploads.remove_staged_file, name="remove-staged-file"),
    path("new/<str:kind>/checks/", new_imodel.request_checks, name="request-checks"),
    path("new/<str:kind>/preset/", presets.save_preset, name="save-preset"),
    path("presets/<uuid:pk>/", presets.preset_detail, name="preset-detail"),
    path("presets/<uuid:pk>/delete", presets.delete_preset, name="delete-preset"),
    path("pick/itwins/", pickers.pick_itwins, name="pick-itwins"),
    path("pick/imodels/", pickers.pick_imodels, name="pick-imodels"),
    path("pick/changesets/", pickers.pick_changesets, name="pick-changesets"),
    path("pick/versions/", pickers.pick_versions, name="pick-versions"),
    # Coming and going.
    path("sign-in/", sign_in.sign_in_page, name="sign-in"),
    path("sign-in/start", sign_in.sign_in_start, name="sign-in-start"),
    path("sign-in/callback", sign_in.sign_in_callback, name="sign-in-callback"),
    path("sign-out", sign_in.sign_out, name="sign-out"),
    path("sessions/", sessions.session_list, name="session-list"),
    path("sessions/end", sessions.end_session, name="end-session"),
    path("sessions/end-all", sessions.end_all_sessions, name="end-all-sessions"),
    path("sessions/teams/<int:pk>/watch", watches.switch_watch, name="switch-watch"),
    # For machines.
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
]
