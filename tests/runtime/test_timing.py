"""Times fit inside each other: what is promised about "never twice" and "never lost" leans on this chain."""

from datetime import timedelta

from django.conf import settings

from imodels_app.limits import circuit_breaker, poll_schedule
from imodels_app.runtime import heartbeat, timing


def seconds(value: float) -> timedelta:
    return timedelta(seconds=value)


def test_a_worker_has_given_up_its_request_before_it_counts_as_never_arrived():
    soft, hard = seconds(settings.CELERY_TASK_SOFT_TIME_LIMIT), seconds(settings.CELERY_TASK_TIME_LIMIT)
    redelivered = seconds(settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"])

    assert timing.CLAIM_LASTS + timing.LONGEST_CALL < soft < hard < timing.NEVER_ARRIVED_AFTER < redelivered


def test_a_lost_claim_is_looked_up_only_when_nobody_may_send_it_any_more():
    assert timing.CLAIM_LASTS + timing.CLOCK_DIFFERENCE < timing.RECONCILE_CLAIM_AFTER


def test_what_was_lost_is_looked_for_several_times_before_it_counts_as_never_arrived():
    assert timing.RECONCILE_AFTER < timing.RECONCILE_EVERY < timing.RECONCILE_SELDOM < timing.NEVER_ARRIVED_AFTER
    assert timing.NEVER_ARRIVED_AFTER < timing.NAME_TAKEN_FOR


def test_a_refresh_fits_into_its_lease_and_with_the_question_where_into_a_task():
    refresh = seconds(timing.PROVIDER_TIMEOUT_S + timing.REFRESH_TIMEOUT_S)  # connecting, and waiting for the answer
    asking_where = 2 * seconds(timing.PROVIDER_TIMEOUT_S)

    assert timing.REFRESH_BEGINS_WITHIN + refresh + timing.CLOCK_DIFFERENCE <= timing.REFRESH_LEASE
    assert asking_where + refresh < seconds(settings.CELERY_TASK_SOFT_TIME_LIMIT)
    assert seconds(settings.CELERY_TASK_SOFT_TIME_LIMIT) > timing.REFRESH_LEASE


def test_a_passing_refusal_is_retried_several_times_before_anybody_is_asked_to_sign_in():
    pauses = (timing.REFUSED_TOKEN_FIRST, timing.REFUSED_TOKEN_LONGEST, timing.REFRESH_AGAIN_AFTER)

    assert list(pauses) == sorted(pauses)
    assert 3 * timing.REFRESH_AGAIN_AFTER < timing.SIGN_IN_AFTER_REFUSALS


def test_a_token_outlives_the_call_it_is_taken_for_and_the_claim_before_it():
    assert timing.CLAIM_LASTS + timing.LONGEST_CALL < timing.TOKEN_MARGIN


def test_whoever_deletes_an_orphan_is_dead_when_its_lease_ends():
    assert timing.LONGEST_CALL < timing.ORPHAN_LEASE
    assert timing.CLAIM_LASTS < timing.ORPHAN_LEASE


def test_an_upload_is_killed_before_its_message_comes_twice_in_vain():
    assert settings.UPLOAD_TIME_LIMIT_S == timing.UPLOAD_TASK_LIMIT_S
    assert seconds(settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"]) > timing.UPLOAD_LEASE


def test_a_worker_that_is_asked_to_end_may_finish_its_call():
    assert seconds(settings.CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT) > timing.LONGEST_CALL


def test_a_pause_of_the_plan_is_no_clock_that_was_put_back():
    assert seconds(poll_schedule.LONGEST_PAUSE_S) < timing.LONGEST_PAUSE


def test_clocks_differ_by_less_than_anything_that_is_compared_with_them():
    shortest = min(timing.CLAIM_LASTS, timing.STEP_LEASE, timing.UPLOAD_LEASE, timing.ORPHAN_LEASE)

    assert shortest > timing.CLOCK_DIFFERENCE


def test_a_recovery_is_noticed_within_the_promised_thirty_seconds():
    assert circuit_breaker.SHORTEST < circuit_breaker.LONGEST < seconds(30)
    assert seconds(30) > timing.STEP_LEASE
    assert heartbeat.SILENT_AFTER_S <= 30
