"""How soon people see what was committed: in a real browser, by the web as it is served, at the paces of live pages."""

import random
import statistics
import time

import pytest

from imodels_app import lifecycle
from imodels_app.models import Operation
from imodels_app.states import Kind
from tests.size import session_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.measure]
CHANGES, SEEN_WITHIN_S = 24, 2.0  # all on one page
# A promise of the milliseconds since 1970 at which the row of an operation first said this.
WATCH = """([id, words]) => { window.seenAt = new Promise((seen) => {
  const look = () => document.getElementById(id)?.textContent.includes(words) && seen(Date.now());
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true}); }); }"""


def test_what_is_committed_is_seen_within_two_seconds(page, processes, mara, bridge_team, spec_for, record_property):
    """One operation after another is cancelled while others move, and the table polls as it does for anybody."""
    web = processes.web()
    name, _, value = session_of(mara).partition("=")
    page.context.add_cookies([{"name": name, "value": value, "url": web}])
    made = [lifecycle.request(spec_for(Kind.EMPTY, name=f"Pier {number}"), by=mara) for number in range(CHANGES + 1)]
    page.goto(f"{web}/operations/?whose=mine&sort=name")
    page.wait_for_selector(f"#op-{made[-1].pk}")

    delays_s = [seen_after(page, operation) for operation in made[:CHANGES]]

    p50, p95 = statistics.median(delays_s), statistics.quantiles(delays_s, n=20)[-1]
    record_property("figure", f"committed, then seen in the browser: p50 {p50:.2f} s, p95 {p95:.2f} s of {CHANGES}")
    assert p95 <= SEEN_WITHIN_S


def seen_after(page, operation: Operation) -> float:
    """Seconds from the commit of a change to the browser's showing it."""
    page.evaluate(WATCH, [f"op-{operation.pk}", "Cancelled"])
    time.sleep(random.random() * 2)  # at any time between two polls
    lifecycle.cancel(operation, by=operation.requested_by)
    committed_at = time.time()
    return page.evaluate("() => window.seenAt") / 1000 - committed_at
