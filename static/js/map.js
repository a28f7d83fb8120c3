// The extent on a map, always in step with its four numbers: drag to draw, drag a corner, or click two corners.
// One unit of the drawing is a hundredth of a degree, and north is up. The outline is ours; nothing else is fetched unless
// the settings name a tile server.

const UNITS = 100; // in a degree
const WORLD = { x: -180 * UNITS, y: -90 * UNITS, width: 360 * UNITS, height: 180 * UNITS };
const STEPS = [30, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];
const SMALLEST_VIEW = 0.002 * UNITS;
const NEAR = 12; // pixels from a corner that count as on it
const STILL = 4; // pixels that a click may wander
const SMALL = 10; // a rectangle of fewer pixels is hard to see
const TILE = 200; // pixels that a tile may be wide
// Tiles are Web Mercator and the map is not. Nearer than this a stretched tile is off by two pixels at most; farther away
// the outline says enough.
const TILES_FROM = 60 * UNITS;
const DEEPEST_TILES = 19;

document.querySelectorAll("[data-extent]").forEach(connect);

function connect(field) {
  const svg = field.querySelector("svg");
  const sides = Object.fromEntries(["north", "south", "west", "east"].map((id) => [id, field.querySelector(`#${id}`)]));
  const part = (name) => svg.querySelector(`.${name}`);
  const button = (name) => field.querySelector(`[data-zoom=${name}]`);
  let view = { ...WORLD };
  let drag = null; // {from, x, y, before}: the corner that stays, where the pointer went down, what was there
  let first = null; // the first of two clicked corners

  // Numbers and the map

  function extent() {
    const numbers = Object.fromEntries(Object.entries(sides).map(([id, input]) => [id, degrees(input)]));
    return Object.values(numbers).includes(null) ? null : numbers;
  }

  function write(one, other) {
    const digits = Math.min(6, Math.max(0, Math.ceil(-Math.log10(view.width / UNITS / svg.clientWidth))));
    const text = (value, most) => String(Number(Math.max(-most, Math.min(most, value / UNITS)).toFixed(digits)) + 0);
    sides.north.value = text(-Math.min(one.y, other.y), 90);
    sides.south.value = text(-Math.max(one.y, other.y), 90);
    sides.west.value = text(Math.min(one.x, other.x), 180);
    sides.east.value = text(Math.max(one.x, other.x), 180);
  }

  function say() {
    Object.values(sides).forEach((input) => input.dispatchEvent(new Event("input", { bubbles: true })));
  }

  // Drawing

  function draw() {
    const now = extent();
    const boxes = now ? rectangles(now) : [];
    const corners = [...(now ? cornersOf(now) : []), ...(first ? [first] : [])];
    const dots = corners.map(({ x, y }) => `M${x} ${y}h0`).join("");
    svg.setAttribute("viewBox", `${view.x} ${view.y} ${view.width} ${view.height}`);
    part("extent").setAttribute("d", boxes.map((b) => `M${b.x} ${b.y}h${b.width}v${b.height}h${-b.width}z`).join(""));
    svg.querySelectorAll(".corner").forEach((path) => path.setAttribute("d", dots));
    grid();
    if (svg.dataset.tiles) tiles();
    svg.setAttribute("aria-label", describe(now));
    button("fit").disabled = !now;
    button("out").disabled = view.width >= WORLD.width;
    button("clear").disabled = !first && Object.values(sides).every((input) => !input.value);
  }

  function grid() {
    const step = STEPS.findLast((size) => view.width / UNITS / size <= 12) ?? STEPS[0];
    const lines = [];
    for (const x of multiples(view.x, view.width, step * UNITS)) lines.push(`M${x} ${view.y}v${view.height}`);
    for (const y of multiples(view.y, view.height, step * UNITS)) lines.push(`M${view.x} ${y}h${view.width}`);
    part("grid").setAttribute("d", lines.join(""));
    field.querySelector("[data-grid]").textContent = `Lines every ${step}°.`;
  }

  function tiles() {
    const layer = part("tiles");
    const wanted = new Map(tilesIn(view, svg.clientWidth, svg.dataset.tiles).map((tile) => [tile.href, tile]));
    for (const image of [...layer.children]) if (!wanted.delete(image.getAttribute("href"))) image.remove();
    for (const tile of wanted.values()) {
      const image = document.createElementNS(svg.namespaceURI, "image");
      image.addEventListener("error", () => image.setAttribute("visibility", "hidden")); // the outline is below it
      for (const [name, value] of Object.entries(tile)) image.setAttribute(name, value);
      image.setAttribute("preserveAspectRatio", "none");
      layer.append(image);
    }
  }

  // Where one looks

  function look(center, width) {
    const span = Math.min(WORLD.width, Math.max(SMALLEST_VIEW, width));
    // Away from the equator a degree of longitude is shorter: near views are drawn in true proportion.
    const shape = span > 120 * UNITS ? 1 : Math.max(0.1, Math.cos((center.y / UNITS / 180) * Math.PI));
    const height = Math.min(WORLD.height, (span / 2) * shape);
    view = {
      x: Math.max(WORLD.x, Math.min(center.x - span / 2, WORLD.x + WORLD.width - span)),
      y: Math.max(WORLD.y, Math.min(center.y - height / 2, WORLD.y + WORLD.height - height)),
      width: span,
      height,
    };
    draw();
  }

  function fit() {
    const box = around(rectangles(extent()));
    const shape = Math.max(0.1, Math.cos((middle(box).y / UNITS / 180) * Math.PI));
    look(middle(box), 4 * Math.max(box.width, (2 * box.height) / shape));
  }

  function seen(now) {
    const box = around(rectangles(now));
    const scale = svg.clientWidth / view.width;
    const inside = box.x >= view.x && box.x + box.width <= view.x + view.width;
    const level = box.y >= view.y && box.y + box.height <= view.y + view.height;
    return inside && level && Math.max(box.width, box.height) * scale >= SMALL;
  }

  // The pointer

  function point(event) {
    const at = svg.getBoundingClientRect();
    return {
      x: view.x + ((event.clientX - at.left) / at.width) * view.width,
      y: view.y + ((event.clientY - at.top) / at.height) * view.height,
    };
  }

  function gripped(event) {
    const now = extent();
    if (!now || now.west > now.east || now.south > now.north) return null;
    const at = svg.getBoundingClientRect();
    const corners = cornersOf(now);
    const found = corners.findIndex(({ x, y }) => {
      const left = at.left + ((x - view.x) / view.width) * at.width;
      const top = at.top + ((y - view.y) / view.height) * at.height;
      return Math.hypot(left - event.clientX, top - event.clientY) <= NEAR;
    });
    return found < 0 ? null : corners[(found + 2) % 4];
  }

  function back() {
    if (drag) Object.entries(drag.before).forEach(([id, value]) => (sides[id].value = value));
    drag = first = null;
    draw();
  }

  svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const before = Object.fromEntries(Object.entries(sides).map(([id, input]) => [id, input.value]));
    const opposite = gripped(event);
    drag = { from: opposite ?? point(event), isCorner: Boolean(opposite), x: event.clientX, y: event.clientY, before };
    svg.setPointerCapture(event.pointerId);
    if (event.pointerType === "mouse") event.preventDefault(); // no selection of text
  });
  svg.addEventListener("pointermove", (event) => {
    if (!drag || !moved(drag, event)) return;
    first = null;
    drag.isMoving = true;
    write(drag.from, point(event));
    draw();
  });
  svg.addEventListener("pointerup", (event) => {
    if (!drag) return;
    const { isMoving, isCorner } = drag;
    drag = null;
    if (!isMoving && !isCorner) click(point(event));
    else if (isMoving) say();
  });
  svg.addEventListener("pointercancel", back); // a finger that scrolls the page
  document.addEventListener("keydown", (event) => event.key === "Escape" && (drag || first) && back());

  function click(at) {
    if (first) {
      write(first, at);
      first = null;
      say();
    } else {
      first = at; // the numbers stay until the second, and with Escape for good
      draw();
    }
  }

  // The rest

  field.closest("details").addEventListener("toggle", draw); // folded, it has no width
  button("fit").addEventListener("click", fit);
  button("out").addEventListener("click", () => look(middle(view), view.width * 3));
  button("clear").addEventListener("click", () => {
    Object.values(sides).forEach((input) => (input.value = ""));
    first = null;
    view = { ...WORLD };
    say();
    sides.north.focus(); // the button is disabled now, and focus must not be lost
  });
  field.addEventListener("input", (event) => {
    const now = extent();
    if (event.isTrusted && now && !seen(now)) fit();
    else draw();
  });

  if (extent()) fit();
  else draw();
}

function degrees(input) {
  const most = input.id === "north" || input.id === "south" ? 90 : 180;
  const text = input.value.trim().replace(",", ".").replace("−", "-");
  const number = Number(text);
  return text === "" || !(Math.abs(number) <= most) ? null : number;
}

// A west that lies east of the east crosses the 180th meridian: two rectangles.
function rectangles({ north, south, west, east }) {
  const y = units(-Math.max(north, south));
  const height = units(Math.abs(north - south));
  const box = (from, to) => ({ x: units(from), y, width: units(to - from), height });
  return west <= east ? [box(west, east)] : [box(west, 180), box(-180, east)];
}

// Without the dust of binary fractions.
function units(degrees) {
  return Number((degrees * UNITS).toFixed(6));
}

function cornersOf({ north, south, west, east }) {
  const at = (lon, lat) => ({ x: units(lon), y: units(-lat) });
  return [at(west, north), at(east, north), at(east, south), at(west, south)];
}

function around(boxes) {
  const x = Math.min(...boxes.map((box) => box.x));
  const width = Math.max(...boxes.map((box) => box.x + box.width)) - x;
  return { ...boxes[0], x, width };
}

function middle(box) {
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
}

function multiples(from, length, step) {
  const first = Math.ceil(from / step);
  return Array.from({ length: Math.max(0, Math.floor((from + length) / step) - first + 1) }, (_, i) => (first + i) * step);
}

// The tiles that a view needs, each with its address and its place in the drawing.
function tilesIn(view, pixels, template) {
  if (view.width > TILES_FROM) return [];
  const zoom = Math.ceil(Math.log2(((WORLD.width / view.width) * pixels) / TILE));
  const z = Math.max(0, Math.min(DEEPEST_TILES, zoom));
  const width = WORLD.width / 2 ** z;
  const column = (x) => inside(Math.floor((x - WORLD.x) / width), z);
  const row = (y) => inside(Math.floor(mercator(y) * 2 ** z), z);
  const tiles = [];
  for (let x = column(view.x); x <= column(view.x + view.width); x++)
    for (let y = row(view.y); y <= row(view.y + view.height); y++) {
      const [top, bottom] = [unmercator(y / 2 ** z), unmercator((y + 1) / 2 ** z)];
      const href = template.replace("{z}", z).replace("{x}", x).replace("{y}", y);
      tiles.push({ href, x: WORLD.x + x * width, y: top, width, height: bottom - top });
    }
  return tiles;
}

function inside(index, z) {
  return Math.max(0, Math.min(2 ** z - 1, index));
}

// From a height in the drawing to one in Web Mercator, 0 at its north edge and 1 at its south, and back.
function mercator(y) {
  const latitude = ((-y / UNITS) * Math.PI) / 180;
  return (1 - Math.asinh(Math.tan(latitude)) / Math.PI) / 2;
}

function unmercator(part) {
  const latitude = Math.atan(Math.sinh(Math.PI * (1 - 2 * part)));
  return ((-latitude * 180) / Math.PI) * UNITS;
}

function moved(start, event) {
  return start.isMoving || Math.hypot(event.clientX - start.x, event.clientY - start.y) >= STILL;
}

function describe(now) {
  if (!now) return "Map of the world, no extent drawn";
  return `Map with the extent drawn: north ${now.north}°, south ${now.south}°, west ${now.west}°, east ${now.east}°`;
}
