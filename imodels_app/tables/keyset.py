"""Pages of a table by keyset: an address names the row that its page begins behind, not how many come before it.

So the last page costs what the first does, and a row that comes meanwhile moves no other to another page.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Self

from django.core.signing import BadSignature, Signer
from django.db.models import BooleanField, F, Field, Func, QuerySet, Value
from django.http import QueryDict

from imodels_app.display import formats

PAGE_SIZE = 25
# Nobody needs to know how many more there are.
MOST_COUNTED = 10_000
# What of an address says which page.
NAMES = ("after", "before")
# Signed, so that what comes back are values that a row had, and none has to be checked.
_signer = Signer(salt="tables.keyset")


@dataclass(frozen=True)
class Order:
    """A total order: columns or annotations, the last one unique, all rising or all falling.

    One direction, so that a row of values can be compared by an index. None of them may be NULL.
    """

    columns: tuple[str, ...]
    falling: bool = True

    def reversed(self) -> Self:
        return replace(self, falling=not self.falling)

    def of(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.order_by(*(f"-{name}" if self.falling else name for name in self.columns))

    def beyond(self, rows: QuerySet[Any], place: list[str]) -> list[QuerySet[Any]]:
        """The rows that come after this place, in parts as page() takes them.

        What many rows have in common (their state) is a part of its own: a planner judges how many rows are greater
        than a row of values by the first of them, and takes those that equal it for none.
        """
        if len(self.columns) < 3:
            return [self._greater(rows, place)]
        first, value = self.columns[0], _field(rows, self.columns[0]).to_python(place[0])
        same = replace(self, columns=self.columns[1:])._greater(rows.filter(**{first: value}), place[1:])
        return [same, rows.filter(**{f"{first}__{'lt' if self.falling else 'gt'}": value})]

    def _greater(self, rows: QuerySet[Any], place: list[str]) -> QuerySet[Any]:
        fields = [_field(rows, name) for name in self.columns]
        values = [Value(field.to_python(text), field) for field, text in zip(fields, place, strict=True)]
        sides = _row([F(name) for name in self.columns]), _row(values)
        sign = " < " if self.falling else " > "
        return rows.filter(Func(*sides, template="%(expressions)s", arg_joiner=sign, output_field=BooleanField()))

    def place_of(self, row: Any) -> list[Any]:
        return [attrgetter(name.replace("__", "."))(row) for name in self.columns]


@dataclass(frozen=True)
class Slice:
    """One page of rows. newer, older: what the addresses of its neighbours say; total: of all pages, as it is read."""

    rows: list[Any]
    newer: str = ""
    older: str = ""
    total: str = ""

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def page(parts: Sequence[QuerySet[Any]], order: Order, query: QueryDict) -> Slice:
    """The page that the address names; the first one when it names none that makes sense.

    parts: querysets without a row in common, which together are the table. Each is read by an index of its own, where
    their OR would be read by none.
    """
    before, after = _place(query.get("before", ""), order), _place(query.get("after", ""), order)
    if before and (rows := _read(parts, order.reversed(), before)) and len(rows) > PAGE_SIZE:
        rows = rows[PAGE_SIZE - 1 :: -1]
        return Slice(rows, _signed(order, rows[0]), _signed(order, rows[-1]))
    place = None if before else after  # too few before it: that is the first page
    rows = _read(parts, order, place)
    older = _signed(order, rows[PAGE_SIZE - 1]) if len(rows) > PAGE_SIZE else ""
    return Slice(rows[:PAGE_SIZE], _signed(order, rows[0]) if place and rows else "", older)


def counted(found: Slice, parts: Sequence[QuerySet[Any]], most: int | None = None) -> Slice:
    """With how many rows there are in all; a first page that is also the last has told it."""
    is_all = not found.newer and not found.older
    return replace(found, total=formats.thousands(len(found)) if is_all else total(parts, most))


def total(parts: Sequence[QuerySet[Any]], most: int | None = None) -> str:
    """How many rows these are, as it is read; counted no further than anybody needs."""
    most = most or MOST_COUNTED
    return formats.at_most(count(parts, most), most)


def count(parts: Sequence[QuerySet[Any]], most: int | None = None) -> int:
    """One more than the most (MOST_COUNTED) at most."""
    limit = (most or MOST_COUNTED) + 1
    left = limit
    for part in parts:
        left -= part.order_by().values("pk")[:left].count() if left else 0
    return limit - left


def _read(parts: Sequence[QuerySet[Any]], order: Order, place: list[str] | None) -> list[Any]:
    """A page and one row more."""
    beyond = [one for part in parts for one in order.beyond(part, place)] if place else parts
    found = [order.of(part)[: PAGE_SIZE + 1] for part in beyond]
    if len(found) == 1:
        return list(found[0])
    rows = [row for part in found for row in part]
    return sorted(rows, key=order.place_of, reverse=order.falling)[: PAGE_SIZE + 1]


def _signed(order: Order, row: Any) -> str:
    return _signer.sign_object([order.columns, *map(str, order.place_of(row))])


def _place(text: str, order: Order) -> list[str] | None:
    try:
        columns, *place = _signer.unsign_object(text)
    except BadSignature:
        return None
    return place if columns == list(order.columns) else None


def _field(rows: QuerySet[Any], name: str) -> "Field[Any, Any]":
    """Of a column, of one of a row that it hangs on, or of an annotation."""
    if name in rows.query.annotations:
        return rows.query.annotations[name].output_field
    *path, last = name.split("__")
    model: Any = rows.model
    for step in path:
        model = model._meta.get_field(step).related_model
    field: Field[Any, Any] = model._meta.pk if last == "pk" else model._meta.get_field(last)
    return field


def _row(parts: list[Any]) -> Func:
    return Func(*parts, template="(%(expressions)s)", arg_joiner=", ", output_field=BooleanField())
