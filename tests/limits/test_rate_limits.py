"""The shared budget: how soon the next request may leave, by what was sent and answered before."""

from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from imodels_app.limits import rate_limits
from imodels_app.limits.pacing import MINUTE
from imodels_app.models import Attempt, Bucket
from imodels_app.runtime.timing import CLAIM_LASTS, LONGEST_CALL

pytestmark = pytest.mark.django_db
# Past the moment at which a sum has fallen below the limit.
ABOUT = timedelta(seconds=0.01)


def send(operation, number: int, *, at, answered_after_s: float | None = 0.1, bucket: str = "clone") -> None:
    answered_at = None if answered_after_s is None else at + timedelta(seconds=answered_after_s)
    Attempt.objects.create(
        operation=operation, number=number, bucket=bucket, body_hash="", sent_at=at, answered_at=answered_at
    )


def may_send_at(now, bucket: str = "clone"):
    """Now, or when the budget says."""
    return rate_limits.turn(bucket, now).at


def follow(wanted: int, now) -> int:
    """Poll up to `wanted` operations, as many as following may; how many that were."""
    polls = min(wanted, rate_limits.polls_left(now))
    for _ in range(polls):
        rate_limits.count_call(now)
    return polls


def test_the_first_request_leaves_at_once():
    now = timezone.now()

    assert may_send_at(now) == now


def test_a_whole_minutes_requests_leave_at_once_after_a_pause(queued_clone):
    now = timezone.now()
    for number in range(19):
        send(queued_clone, number, at=now)

    assert may_send_at(now + timedelta(seconds=1)) == now + timedelta(seconds=1)


def test_no_more_than_the_limit_are_answered_within_a_minute(queued_clone):
    now = timezone.now()
    for number in range(20):
        send(queued_clone, number, at=now - timedelta(seconds=20 - number / 10), answered_after_s=5)

    assert abs(may_send_at(now) - (now - timedelta(seconds=20 - 5) + MINUTE)) < ABOUT


def test_a_request_whose_sender_died_counts_until_it_has_given_up(queued_clone):
    now = timezone.now()
    for number in range(20):
        send(queued_clone, number, at=now - timedelta(seconds=50), answered_after_s=None)

    assert abs(may_send_at(now) - (now - timedelta(seconds=50) + CLAIM_LASTS + LONGEST_CALL + MINUTE)) < ABOUT


def test_one_kind_does_not_spend_the_rate_limit_of_another(queued_clone):
    now = timezone.now()
    for number in range(20):
        send(queued_clone, number, at=now)

    assert may_send_at(now) > now
    assert may_send_at(now, "fork") == now


def test_retry_after_holds_its_bucket_and_no_other():
    now = timezone.now()
    until = now + timedelta(seconds=17)

    rate_limits.freeze("clone", until, now)
    rate_limits.freeze("clone", now + timedelta(seconds=5), now)

    assert may_send_at(now) == until
    assert may_send_at(now, "fork") == now


def test_a_trial_may_send_five_a_minute(queued_clone, settings):
    settings.ITWIN_TIER = "trial"
    now = timezone.now()
    for number in range(5):
        send(queued_clone, number, at=now)

    assert abs(may_send_at(now + timedelta(seconds=1)) - (now + timedelta(seconds=0.1) + MINUTE)) < ABOUT


def test_people_see_what_is_left_and_until_when(queued_clone):
    now = timezone.now()
    rate_limits.freeze("fork", now + timedelta(seconds=30), now)
    send(queued_clone, 1, at=now)

    remaining = {one.name: one for one in rate_limits.remaining(now)}

    assert (remaining["clones"].remaining, remaining["clones"].limit) == (19, 20)
    assert (remaining["forks"].remaining, remaining["forks"].until) == (0, now + timedelta(seconds=30))
    assert (remaining["creations"].remaining, remaining["creations"].until) == (50, None)


def test_after_a_429_each_answer_is_waited_for(queued_clone):
    now = timezone.now()
    rate_limits.freeze("clone", now, now)
    send(queued_clone, 1, at=now, answered_after_s=4)

    assert may_send_at(now + timedelta(seconds=1)) == now + timedelta(seconds=4) + MINUTE / 20


def test_after_a_429_there_are_no_bursts_for_a_day(queued_clone):
    now = timezone.now()
    rate_limits.freeze("clone", now, now)
    for hours, apart in ((23, MINUTE / 20), (25, timedelta(0))):
        at = now + timedelta(hours=hours)
        send(queued_clone, hours, at=at)
        assert may_send_at(at) == at + apart
        assert may_send_at(at, "fork") == at


def test_a_429_of_a_service_behind_the_platform_is_obeyed_and_teaches_nothing(queued_clone):
    now = timezone.now()
    until = now + timedelta(seconds=30)
    rate_limits.freeze("clone", until, now, is_our_limit=False)
    send(queued_clone, 1, at=now)

    assert may_send_at(now) == until
    assert may_send_at(until) == until


def test_following_stops_while_all_calls_are_frozen():
    now = timezone.now()
    assert follow(5, now) == 5

    rate_limits.freeze("calls", now + timedelta(seconds=30), now)

    assert follow(5, now) == 0


@pytest.mark.same_on_both
@pytest.mark.parametrize(("tier", "a_minute"), [("trial", 5000 / 60), ("community", 5000 / 60), ("standard", 5000)])
def test_following_leaves_room_in_every_minute(settings, tier, a_minute):
    settings.ITWIN_TIER = tier
    start = timezone.now()
    had_gathered = follow(10_000, start)

    taken = sum(follow(10_000, start + timedelta(seconds=second)) for second in range(1, 61))

    assert 0.85 * a_minute <= taken <= a_minute
    assert taken + had_gathered <= rate_limits.limit(rate_limits.CALLS)


def test_following_never_takes_the_reserve_for_people():
    now = timezone.now()

    assert follow(10_000, now) < 500
    assert follow(10_000, now) == 0


def test_calls_of_people_and_of_sending_count_and_may_use_the_reserve(settings):
    settings.ITWIN_TIER = "trial"
    now = timezone.now()
    assert follow(10_000, now) > 200  # all but the reserve

    for _ in range(200):  # 208 are the reserve
        rate_limits.count_call(now)

    assert follow(10_000, now + timedelta(seconds=2)) == 0


def test_what_people_used_is_given_back_before_following_goes_on():
    now = timezone.now()
    follow(10_000, now)
    for _ in range(450):
        rate_limits.count_call(now)

    # 81 a second drip in: first what was taken from the reserve and beyond, then what following may take.
    assert follow(10_000, now + timedelta(seconds=5)) == 0
    assert follow(10_000, now + timedelta(seconds=9)) > 0


def test_for_a_day_after_a_429_of_all_calls_a_tenth_is_left_unused():
    now = timezone.now()
    usual = rate_limits.polls_a_second(now)

    rate_limits.freeze("calls", now, now)

    assert rate_limits.polls_a_second(now) == pytest.approx(0.9 * usual)
    assert rate_limits.polls_a_second(now + timedelta(hours=25)) == pytest.approx(usual)


def test_a_call_that_waited_to_be_counted_takes_no_others_away():
    now = timezone.now()
    for waited_s in (0, 0, 3):
        rate_limits.count_call(now - timedelta(seconds=waited_s))

    assert sum(calls for _, calls in Bucket.objects.get(name="calls").last_hour) == 3


@pytest.mark.same_on_both
def test_a_trials_hour_counts_everybodys_calls(settings):
    settings.ITWIN_TIER = "trial"
    start = timezone.now()
    taken = 0
    for second in range(0, 3600, 20):
        at = start + timedelta(seconds=second)
        taken += follow(10_000, at)
        if second % 60 == 0:
            for _ in range(20):  # 1200 an hour by people
                rate_limits.count_call(at)
                taken += 1

    assert 4800 <= taken <= 5000


# ---------- a share of what is looked up ----------


def look_up(wanted: int, now, *people) -> int:
    """Each person asks so often, in turn; how many questions leave."""
    asked = 0
    for _ in range(wanted):
        for person in people:
            with suppress(rate_limits.RateLimited):
                rate_limits.count_lookup(person.pk, now)
                asked += 1
    return asked


@pytest.mark.same_on_both
@pytest.mark.parametrize(("tier", "at_once", "step_s", "drips"), [("trial", 84, 50, 34), ("basic", 100, 1, 40)])
def test_one_persons_look_ups_are_half_of_what_is_there_and_then_what_drips(
    settings, otto, tier, at_once, step_s, drips
):
    settings.ITWIN_TIER = tier
    now = timezone.now()

    assert look_up(at_once + 40, now, otto) == at_once
    lasting = sum(look_up(drips + 9, now + timedelta(seconds=step_s * step), otto) for step in range(1, 21))
    assert 0.7 * 20 * drips < lasting <= 20 * drips + at_once


@pytest.mark.same_on_both
@pytest.mark.parametrize("tier", ["trial", "basic"])
def test_people_at_full_speed_leave_place_for_whoever_comes(settings, otto, mara, ines, tomas, tier):
    settings.ITWIN_TIER = tier
    now = timezone.now()

    at_once = [look_up(120, now, person) for person in (otto, mara)]
    assert at_once[0] > at_once[1] > 40
    assert look_up(120, now, tomas) >= rate_limits.CALLS_A_LOOK
    for seconds in range(1, 11):
        look_up(20, now + timedelta(seconds=seconds), otto, mara)
    assert look_up(120, now + timedelta(seconds=10), ines) >= rate_limits.CALLS_A_LOOK


@pytest.mark.parametrize("tier", ["trial", "basic"])
def test_whoever_has_used_up_their_share_is_told_when_a_page_can_ask_again(settings, otto, tier):
    settings.ITWIN_TIER = tier
    now = timezone.now()
    look_up(120, now, otto)

    with pytest.raises(rate_limits.RateLimited) as used:
        rate_limits.count_lookup(otto.pk, now)

    assert look_up(20, used.value.until, otto) in (9, 10)


@pytest.mark.parametrize("tier", ["trial", "basic"])
def test_one_person_at_full_speed_holds_up_neither_anothers_look_up_nor_following(settings, otto, mara, tier):
    settings.ITWIN_TIER = tier
    now = timezone.now()
    look_up(120, now, otto)

    assert look_up(20, now, mara) == 20
    assert follow(20, now) == 20


@pytest.mark.parametrize("tier", ["trial", "basic"])
def test_polls_at_full_speed_hold_up_nobodys_look_up(settings, mara, tier):
    settings.ITWIN_TIER = tier
    now = timezone.now()
    follow(10_000, now)

    assert look_up(20, now, mara) == 20


@pytest.mark.same_on_both
def test_all_people_at_full_speed_leave_calls_for_following_and_for_steps(settings, otto, mara, tomas):
    settings.ITWIN_TIER = "trial"
    start = timezone.now()
    follow(10_000, start)
    look_up(90, start, otto, mara)

    polled = 0
    for seconds in range(30, 630, 30):
        at = start + timedelta(seconds=seconds)
        look_up(25, at, otto, tomas)
        polled += follow(10_000, at)
        assert Bucket.objects.get(name=rate_limits.CALLS).tokens > 0

    # Half of what drips, once the reserve is filled again.
    assert polled > 100


def test_what_is_refused_is_not_counted(otto):
    now = timezone.now()
    look_up(120, now, otto)

    assert Bucket.objects.get(name=rate_limits.CALLS).counted == 100


def test_while_the_application_is_frozen_nothing_is_sent_either():
    now = timezone.now()
    until = now + timedelta(seconds=30)

    rate_limits.freeze(rate_limits.CALLS, until, now)

    assert may_send_at(now) == may_send_at(now, "fork") == until
    assert {one.remaining for one in rate_limits.remaining(now)} == {0}


@pytest.mark.parametrize(("named", "bucket"), [("all", "calls"), ("clone imodel", "clone"), ("", "clone")])
def test_a_429_freezes_the_bucket_that_it_names(named, bucket):
    assert rate_limits.bucket_named(named, "clone") == bucket


@pytest.mark.same_on_both
def test_following_and_sending_do_not_starve_each_other(queued_clone, settings):
    """Trial, ten minutes: following takes all that it may, and each clone leaves at its time all the same."""
    settings.ITWIN_TIER = "trial"
    start = timezone.now()
    sent_at: list[datetime] = []
    looks = 0

    for second in range(600):
        now = start + timedelta(seconds=second)
        looks += follow(1000, now)
        if may_send_at(now) <= now:
            send(queued_clone, len(sent_at) + 1, at=now)
            rate_limits.count_call(now)
            sent_at.append(now)

    assert len(sent_at) >= 0.92 * 5 * 10  # a whole second is the test's finest step
    gathered = 500 - 75  # the minute's rest
    assert looks + len(sent_at) <= gathered + 5000 / 6
    assert looks >= 0.8 * 5000 / 6
