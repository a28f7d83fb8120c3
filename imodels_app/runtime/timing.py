"""How long things may take. In one place, for they have to fit inside each other: tests/runtime/test_timing.py holds
them.

A call to the platform < a task < "it never arrived" < a redelivered message; a claim < a lost claim; a refresh < the
lease for it < a task; and what is written down is compared by the database's clock.
"""

from datetime import timedelta

# Calls

# To be connected, and for each wait for an answer. A person in front of a picker waits less (catalog.py).
CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
# Then a request without an answer has been given up by whoever sent it.
LONGEST_CALL = timedelta(seconds=CONNECT_TIMEOUT_S + READ_TIMEOUT_S)
# The sign-in service: to be connected, and again for each wait for an answer.
PROVIDER_TIMEOUT_S = 10.0
# The platform's word on whose token it is, while somebody waits to be signed in.
SIGN_IN_READ_TIMEOUT_S = 5.0
# Its answer to a refresh may have rotated the token, and cannot be had again: waited for as long as the lease allows.
REFRESH_TIMEOUT_S = 40.0

# Looking for what is made outside iModel Desk is a task, too: its lease outlives that (workers/outside.py).
OUTSIDE_LEASE = timedelta(minutes=2)

# A webhook's receiver: to be connected, and for its answer. It may be slow, and what it is told waits meanwhile.
WEBHOOK_CONNECT_TIMEOUT_S, WEBHOOK_READ_TIMEOUT_S = 5.0, 10.0
# A stream of events goes on for so long in one task. Its lease outlives that, and the message that was last begun.
STREAM_ROUND_S, STREAM_LEASE = 15.0, timedelta(seconds=60)

# Clocks

# All processes read the database's clock within this of each other. What was written down later than that was written
# before the clock was put back.
CLOCK_DIFFERENCE = timedelta(seconds=5)
# The Date of the platform's answers tells how far its clock is from ours, to a second and to the time an answer takes.
PLATFORM_DATE_PRECISION = timedelta(seconds=3)
# Without a Date, the two may differ by this much.
PLATFORM_CLOCK_DIFFERENCE = timedelta(minutes=5)
# So may the sign-in service's, by the times in its ID tokens.
PROVIDER_CLOCK_DIFFERENCE_S = 120

# People

# A decision rests on a grant that the sign-in service has confirmed no longer ago than this.
GRANT_CONFIRMED_FOR = timedelta(minutes=5)
# Who has to decide is reminded when half of the time is over, and once more so long before its end.
LAST_REMINDER_BEFORE = timedelta(days=1)
# Who says that they are looking at a request is shown to others for so long.
LOOK_LASTS = timedelta(minutes=30)
# How far ahead a request may be put off: its approval holds for so much longer.
LATEST_START = timedelta(days=90)
# After a sign-in a person may end their other sessions for so long.
SIGN_IN_IS_FRESH = timedelta(minutes=10)
# Between a person's start of a sign-in and their return from the provider's page.
SIGN_IN_TAKES_S = 15 * 60

# One request to make an iModel

# A claim is for sending at once. Who wakes up later (a stopped process) must not send any more: its time is charged to
# a minute of the rate limit that is over.
CLAIM_LASTS = timedelta(seconds=10)
# A claim without an answer is looked up after this. Its worker may live and still wait for the answer: looking harms
# nobody, and whoever writes first fences the other.
RECONCILE_CLAIM_AFTER = timedelta(seconds=20)
# How soon a name is looked up after its answer was lost, and then again while nothing is found: the longer, the rarer.
RECONCILE_AFTER = timedelta(seconds=3)
RECONCILE_EVERY = timedelta(seconds=5)
RECONCILE_SELDOM = timedelta(minutes=1)
# After the send: the longest call and the task it was made in, and as long as the platform may take to list a new
# iModel. Only then does "not found" mean "never arrived".
NEVER_ARRIVED_AFTER = timedelta(seconds=95)
# How long to look for what has the name after the platform said that it is taken: to send again would tell no more.
NAME_TAKEN_FOR = timedelta(minutes=15)
# Before the next try of what failed in a way that nobody foresaw: it would stay first in line.
SET_ASIDE_FOR = timedelta(seconds=30)
# Before the next try behind another operation of that name.
BEHIND_SAME_NAME = timedelta(seconds=30)

# Leases: whoever holds one and is not heard of for so long has died, and somebody else goes on

# One step with an operation that runs or whose answer was lost. A poll that hangs longer is asked again beside it.
STEP_LEASE = timedelta(seconds=20)
# Whoever uploads a file says so every second.
UPLOAD_LEASE = timedelta(seconds=20)
# Looking at an orphan, and again deleting it: longer than one call, so whoever was at it is dead.
ORPHAN_LEASE = timedelta(seconds=45)
# Longer than a refresh can take, even by one who was held up before it; shorter than a task may run.
REFRESH_LEASE = timedelta(seconds=60)
REFRESH_BEGINS_WITHIN = timedelta(seconds=5)
# Refresh this long before the end: a token must outlive the call it is taken for.
TOKEN_MARGIN = timedelta(seconds=60)

# Waits

# A token that the platform refuses is refreshed at once, but not again so soon after a refresh.
REFRESH_AGAIN_AFTER = timedelta(minutes=1)
# How soon a refused token is shown again, and then the longer it was refused, the rarer.
REFUSED_TOKEN_FIRST, REFUSED_TOKEN_LONGEST = timedelta(seconds=1), timedelta(seconds=15)
# A platform that has refused one refreshed token after another for so long may want a new sign-in. It is asked now and
# then all the same: its answers may get better by themselves.
SIGN_IN_AFTER_REFUSALS = timedelta(minutes=5)
WHILE_REFUSED = timedelta(minutes=2)
# How long an operation waits for its requester to sign in again before it expires.
SIGN_IN_PATIENCE = timedelta(days=5)
# Signing in wakes what waits for it at once. Asking sooner than this would tell nothing.
WHILE_SIGNED_OUT = timedelta(hours=1)
# Rights may come back, and nothing tells when.
WHILE_NOT_PERMITTED = timedelta(minutes=2)
# Right after its answer the platform may not know the new iModel yet.
MISSING_IS_NORMAL_FOR = timedelta(seconds=60)
# And then one 404 is not enough: it has to stay missing.
VANISHED_AFTER = timedelta(seconds=60)
# Between two polls of what a list shows to be under way, for the list may not tell of a failure: longer, the more there
# are.
GUARD_POLL, LONGEST_GUARD_POLL = timedelta(seconds=30), timedelta(minutes=15)
# Between two polls of what runs as it should (poll_schedule.py: two minutes).
LONGEST_PAUSE = timedelta(minutes=5)

# Celery

# What the row is due for may be announced again after this; a new due time may at once.
ANNOUNCED_FOR_S = 5
SOFT_TASK_LIMIT_S = 75
TASK_LIMIT_S = 90
# A single PUT may last long.
UPLOAD_TASK_LIMIT_S = 2 * 60 * 60
# SIGQUIT, or SIGTERM again: as long as a call may last, then a worker ends.
SOFT_SHUTDOWN_S = 40
# A message that nobody acknowledged is delivered again.
REDELIVERED_AFTER_S = 300
