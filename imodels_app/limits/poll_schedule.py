"""When to ask again how far an operation is. Arithmetic only.

Polling costs calls, and not polling costs lag: the time for which an end is not noticed. With hazard h the lag expected
since the last look grows by h · since² / 2, and it is optimal to look whenever it comes to what a call is worth, λ
seconds: then calls · mean lag of an operation is ½ (∫ √(f S) dt)², the least there is (by Cauchy-Schwarz; f and S are
density and survival of the durations, and an interval D costs ∫ S/D calls and ∫ f D/2 lag). Many operations share one
budget of B calls a second, so λ is the same for all of them: each is looked at √(h / 2λ) times a second, and what
uses up B is λ = (Σ √h / B)² / 2. Over the budget, the next call goes where the expected lag is greatest. It is the
rule of polling many sources that change at random (Y. Azar, E. Horvitz, E. Lubetzky, Y. Peres, D. Shahaf, "Tractable
near-optimal policies for crawling", PNAS 115, 2018).

A list shows which of many have ended by one call. It counts as one that ends with the sum of their hazards, so lists
are asked for in proportion to √(Σ h) each.
"""

import math
from collections.abc import Iterable, Sequence

from imodels_app.limits.durations import Durations
from imodels_app.runtime.timing import GUARD_POLL, LONGEST_GUARD_POLL

# No more often, whatever there is to spare.
SHORTEST_PAUSE_S = 1.0
# And no less often, however long it takes.
LONGEST_PAUSE_S = 120.0
# A call that saves less is not made. Where there is budget for even those, an operation is looked at each second while
# it is young.
LEAST_WORTH_S, YOUNG_S = 0.01, 60.0
# After polls that told nothing, the first one and the next.
PAUSES_AFTER_BAD_S = (1.0, 2.0, 5.0, 15.0)
# So many looks at an operation for each at its iModel ("usable already?"): where there are calls to spare, and not.
LOOKS_PER_IMODEL, LOOKS_PER_IMODEL_WHILE_SCARCE = 3, 10
# Of all looks, for those that guard what lists show.
GUARDS = 0.03


def worth_s(hazards: Iterable[float], calls_a_second: float) -> float:
    """λ: the seconds of lag that a call has to save, so that looking at all of these uses up the budget."""
    return (sum(math.sqrt(hazard) for hazard in hazards) / calls_a_second) ** 2 / 2


def pause_s(durations: Durations, age_s: float, worth_s: float) -> float:
    """Until the next look at an operation of this age."""
    if worth_s <= LEAST_WORTH_S and age_s < YOUNG_S:
        return SHORTEST_PAUSE_S
    return min(max(durations.pause(age_s, max(worth_s, LEAST_WORTH_S)), SHORTEST_PAUSE_S), LONGEST_PAUSE_S)


def calls_a_second(hazard: float, worth_s: float) -> float:
    """How often an operation of this hazard is looked at; or a list, by the sum of what is in it."""
    return min(math.sqrt(hazard / 2 / max(worth_s, LEAST_WORTH_S)), 1 / SHORTEST_PAUSE_S)


def list_pause_s(hazard: float, worth_s: float) -> float:
    """Until the next list of operations with this sum of hazards."""
    return min(1 / calls_a_second(hazard, worth_s), LONGEST_PAUSE_S)


def looks_per_imodel(worth_s: float) -> int:
    """Looks at an operation for each at its iModel."""
    return LOOKS_PER_IMODEL if worth_s <= LEAST_WORTH_S else LOOKS_PER_IMODEL_WHILE_SCARCE


def guard_s(listed: int, calls_a_second: float) -> float:
    """Between two looks of its own at each that a list shows: all of them together get a part of the budget."""
    return min(max(listed / (GUARDS * calls_a_second), GUARD_POLL.total_seconds()), LONGEST_GUARD_POLL.total_seconds())


def is_list_cheaper(hazards: Sequence[float], worth_s: float, guard_s: float) -> bool:
    """Whether one list costs fewer calls than looks at each of these: with a call for each that ends, and its guard."""
    by_list = calls_a_second(sum(hazards), worth_s) + sum(hazards) + len(hazards) / guard_s
    singly = sum(calls_a_second(hazard, worth_s) for hazard in hazards)
    return len(hazards) > 1 and by_list < singly * (1 + 1 / looks_per_imodel(worth_s))


def pause_after_bad_s(bad: int) -> float:
    """Until the next look after so many in a row that told nothing."""
    return PAUSES_AFTER_BAD_S[min(bad, len(PAUSES_AFTER_BAD_S)) - 1]
