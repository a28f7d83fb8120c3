"""Draws docs/growth.svg from docs/growth.csv: what the table of operations costs with more rows and with more tabs.

    BENCH_GROWTH=docs/growth.csv make bench
    python -m tools.growth_picture

The first takes down its figures there (tests/tables/test_at_size.py), the second draws them. Axes are logarithmic.
"""

import csv
import math
from collections.abc import Iterator
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 440, 240, 56, 40, 44
COLOURS = ("#0b6fb8", "#b4540a", "#3f7f3f", "#7a4aa0")


def note(path: Path, panel: str, x: float, lines: dict[str, float]) -> None:
    """Take down points of a panel; those that were there for the same x are older."""
    rows = _read(path) if path.exists() else []
    old = [row for row in rows if (row["panel"], float(row["x"])) != (panel, x) or row["line"] not in lines]
    new = [{"panel": panel, "line": line, "x": f"{x:.0f}", "y": str(round(y, 2))} for line, y in lines.items()]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["panel", "line", "x", "y"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(old + new, key=lambda row: (row["panel"], row["line"], float(row["x"]))))


def _read(path: Path) -> list[dict[str, str]]:
    with path.open() as figures:
        return list(csv.DictReader(figures))


def draw(rows: list[dict[str, str]]) -> str:
    panels = list(dict.fromkeys(row["panel"] for row in rows))
    drawn = "".join(
        f'<g transform="translate({number * WIDTH} 0)">{"".join(_panel(title, rows))}</g>'
        for number, title in enumerate(panels)
    )
    size = f'viewBox="0 0 {len(panels) * WIDTH} {HEIGHT}" font-family="sans-serif" font-size="11"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}><rect width="100%" height="100%" fill="#fff"/>{drawn}</svg>\n'
    )


def _panel(title: str, rows: list[dict[str, str]]) -> Iterator[str]:
    mine = [(row["line"], float(row["x"]), float(row["y"])) for row in rows if row["panel"] == title]
    xs, ys = [x for _, x, _ in mine], [y for _, _, y in mine]
    ticks = [10**power for power in range(math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys))) + 1)]
    yield f'<text x="{LEFT}" y="18" font-weight="bold">{title}</text>'
    for tick in ticks:
        at = _y(tick, ticks)
        yield f'<path d="M{LEFT} {at:.0f}H{WIDTH - 12}" stroke="#ccc"/>'
        yield f'<text x="{LEFT - 6}" y="{at + 4:.0f}" text-anchor="end">{tick:g}</text>'
    for x in sorted(set(xs)):
        yield f'<text x="{_x(x, xs):.0f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{x:,.0f}</text>'
    for number, line in enumerate(dict.fromkeys(name for name, _, _ in mine)):
        points = [f"{_x(x, xs):.0f},{_y(y, ticks):.0f}" for name, x, y in mine if name == line]
        colour = COLOURS[number % len(COLOURS)]
        yield f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="2"/>'
        yield f'<text x="{LEFT + number * 96}" y="{HEIGHT - 8}" fill="{colour}">{line}</text>'


def _x(x: float, xs: list[float]) -> float:
    low, high = math.log10(min(xs)), math.log10(max(xs))
    return LEFT + 24 + (math.log10(x) - low) / ((high - low) or 1) * (WIDTH - LEFT - 60)


def _y(y: float, ticks: list[float]) -> float:
    low, high = math.log10(ticks[0]), math.log10(ticks[-1])
    return HEIGHT - BOTTOM - (math.log10(y) - low) / ((high - low) or 1) * (HEIGHT - TOP - BOTTOM)


if __name__ == "__main__":
    (DOCS / "growth.svg").write_text(draw(_read(DOCS / "growth.csv")))
