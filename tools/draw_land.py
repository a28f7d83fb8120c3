#!/usr/bin/env python3
"""Make static/img/land.svg, the land outline of the extent map, from Natural Earth: `python -m tools.draw_land`.

Natural Earth (public domain) comes as the npm package world-atlas. Its outline at 1:50 million is made coarser, since
the map is small and the numbers beside it are exact. One unit of the drawing is a hundredth of a degree, north is up.
"""

import json
import math
import tarfile
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

from tools.fetch_assets import STATIC, Package, check, fetch, read

ATLAS = Package(
    "world-atlas",
    "2.0.2",
    "ISC",
    "sha512-IXfV0qwlKXpckz1FhwXVwKRjiIhOnWttOskm5CtxMsjgE/MXAYRHWJqgXOpM8IkcPBoXnyTU5lFHcYa5ChG0LQ==",
    "",
    ("land-50m.json",),
)
LAND = STATIC / "img/land.svg"
TURN = 36000.0
TOLERANCE, SMALLEST = 5.0, 300.0  # hundredths of a degree, and their square
NOTE = "Land: Natural Earth 1:50m, public domain (naturalearthdata.com), made coarser by tools/draw_land.py"

Point = tuple[float, float]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        tarball = fetch(ATLAS, Path(folder))
        check(ATLAS, tarball)
        with tarfile.open(tarball) as archive:
            atlas = json.loads(read(archive, "land-50m.json"))
    whole = [ring for ring in map(unrolled, rings(atlas)) if area(ring) > SMALLEST]
    paths = [path for ring in whole for copy in in_sight(simpler(ring)) if (path := drawn(copy))]
    LAND.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-18000 -9000 36000 18000"><!-- {NOTE} -->'
        f'<path id="land" vector-effect="non-scaling-stroke" d="{"".join(paths)}"/></svg>\n'
    )
    print(f"{len(paths)} outlines, {LAND.stat().st_size} bytes -> {LAND.relative_to(STATIC)}")


def rings(atlas: dict[str, Any]) -> list[list[Point]]:
    """Every outline, put together from the arcs that the TopoJSON shares between them."""
    arcs = [_arc(arc, atlas["transform"]) for arc in atlas["arcs"]]
    polygons = [polygon for shape in atlas["objects"]["land"]["geometries"] for polygon in shape["arcs"]]
    return [_ring(ring, arcs) for polygon in polygons for ring in polygon]


def _arc(steps: list[list[int]], transform: dict[str, list[float]]) -> list[Point]:
    (kx, ky), (dx, dy) = transform["scale"], transform["translate"]
    x, y = 0, 0
    points: list[Point] = []
    for step in steps:
        x, y = x + step[0], y + step[1]
        points.append((100 * (x * kx + dx), -100 * (y * ky + dy)))
    return points


def _ring(indexes: list[int], arcs: list[list[Point]]) -> list[Point]:
    points: list[Point] = []
    for index in indexes:
        arc = arcs[index] if index >= 0 else arcs[~index][::-1]
        points += arc[1:] if points else arc
    return points


def unrolled(ring: list[Point]) -> list[Point]:
    """Without a jump at the 180th meridian: it goes on beyond it. Around a pole it is closed along the edge."""
    points = [ring[0]]
    for x, y in ring[1:]:
        points.append((x - TURN * round((x - points[-1][0]) / TURN), y))
    if abs(points[-1][0] - points[0][0]) > TURN / 2:
        edge = math.copysign(TURN / 4, points[0][1])
        points += [(points[-1][0], edge), (points[0][0], edge), points[0]]
    return points


def in_sight(ring: list[Point]) -> list[list[Point]]:
    """The outline where it is, and a turn to either side if that is on the map too."""
    copies = [[(x + turn, y) for x, y in ring] for turn in (-TURN, 0, TURN)]
    return [copy for copy in copies if max(x for x, _ in copy) > -TURN / 2 and min(x for x, _ in copy) < TURN / 2]


def area(ring: list[Point]) -> float:
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, ring[1:] + ring[:1], strict=True))) / 2


def simpler(points: list[Point]) -> list[Point]:
    """Douglas and Peucker's way: leave out what is nearer than the tolerance to the line without it."""
    keep, spans = {0, len(points) - 1}, [(0, len(points) - 1)]
    while spans:
        first, last = spans.pop()
        between = [(_off(points[i], points[first], points[last]), i) for i in range(first + 1, last)]
        far, at = max(between, default=(0.0, 0))
        if far > TOLERANCE:
            keep.add(at)
            spans += [(first, at), (at, last)]
    return [points[index] for index in sorted(keep)]


def _off(point: Point, start: Point, end: Point) -> float:
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = math.hypot(dx, dy)
    if not length:
        return math.dist(point, start)
    along = max(0.0, min(1.0, ((point[0] - start[0]) * dx + (point[1] - start[1]) * dy) / length**2))
    return math.dist(point, (start[0] + along * dx, start[1] + along * dy))


def drawn(points: list[Point]) -> str:
    """One outline as path data, each point by its distance from the one before."""
    whole = [(round(x), round(y)) for x, y in points]
    if len(whole) < 4:
        return ""
    steps = [f"{bx - ax} {by - ay}" for (ax, ay), (bx, by) in pairwise(whole[:-1])]
    return f"M{whole[0][0]} {whole[0][1]}l{' '.join(steps).replace(' -', '-')}z"


if __name__ == "__main__":
    main()
