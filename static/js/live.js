// Live pages: one poll that carries what is shown, and a merge that touches only what changed.
//
// An element with data-live asks hx-get again after data-pace seconds, while the page is looked at and not
// paused, never twice at once. The answer brings parts (data-part, with ids). A part that is as before keeps
// its node, and with it focus, selection, an open menu, what is ticked and typed; a changed one takes them over by id.
// While nobody sees the page it is asked no more, but where data-hidden-pace says so: for a title that counts.
// Without this file every page still works: it is as fresh as its last load.

const RETRY_S = 10;
const LONGEST_RETRY_S = 120;

// ---------- parts ----------

// What the server drew for a part, before ages were counted on or anything was ticked.
const drawn = new WeakMap();

function remember(root) {
  for (const part of root.querySelectorAll("[data-part]")) drawn.set(part, look(part));
}

// How a part looks, but for ages: they differ with every answer, and are counted on here.
function look(part) {
  return part.outerHTML.replace(/(<time[^>]* data-age[^>]*>)[^<]*/g, "$1");
}

function replace(old, fresh) {
  const open = [...old.querySelectorAll("details[open] > summary[id]")].map((summary) => summary.id);
  const ticked = [...old.querySelectorAll("input[type=checkbox]:checked")].map((box) => box.id);
  const typed = [...old.querySelectorAll("textarea[id]")].filter((field) => field.value || field.defaultValue);
  old.replaceWith(fresh);
  htmx.process(fresh);
  for (const id of open) document.getElementById(id)?.parentElement.setAttribute("open", "");
  for (const id of ticked) {
    const box = document.getElementById(id);
    if (box) box.checked = true;
  }
  for (const { id, value } of typed) {
    const field = document.getElementById(id);
    if (!field) continue;
    field.value = value;
    field.closest("[data-unsent]")?.removeAttribute("hidden");
  }
}

// Give a list exactly the fresh rows, in their order, and keep the nodes of those that are as before.
function mergeRows(list, fresh, news) {
  for (const row of list.querySelectorAll(":scope > .changed")) row.classList.remove("changed");
  const before = new Map([...list.children].map((row) => [row.id, row]));
  let at = list.firstElementChild;
  for (const row of [...fresh.children]) {
    const html = look(row);
    let old = before.get(row.id);
    before.delete(row.id);
    if (old && drawn.get(old) !== html) {
      changeRow(old, row, news);
    } else if (!old) {
      old = row;
      tell(row, news);
    }
    drawn.set(old, html);
    if (old === at) at = at.nextElementSibling;
    else list.insertBefore(old, at);
  }
  for (const row of before.values()) row.remove();
}

// Of rows that stay where they are the changed ones alone have come.
function mergeChanged(fresh, news) {
  for (const row of [...fresh.children]) {
    const old = document.getElementById(row.id);
    const html = look(row);
    if (!old || drawn.get(old) === html) continue;
    old.classList.remove("changed");
    changeRow(old, row, news);
    drawn.set(old, html);
  }
}

// A row keeps its node, and the cells that are as before.
function changeRow(row, fresh, news) {
  const cells = [...row.children];
  for (const [number, cell] of [...fresh.children].entries()) {
    if (look(cells[number]) !== look(cell)) replace(cells[number], cell);
  }
  const moved = row.dataset.said !== fresh.dataset.said;
  Object.assign(row.dataset, fresh.dataset);
  if (moved) tell(row, news);
}

function tell(row, news) {
  if (row.localName === "tr") row.classList.add("changed");
  if (!row.dataset.said) return;
  news.push(row.dataset.said);
  document.dispatchEvent(new CustomEvent("part:said", { detail: row }));
}

function merge(root, fresh) {
  const news = [];
  for (const part of fresh.querySelectorAll("[data-part]")) {
    if (part.parentElement?.closest("[data-part]:not([data-part=frame])")) continue;
    const old = document.getElementById(part.id);
    if (!old) continue;
    if (part.dataset.part === "frame" && part.dataset.frame === old.dataset.frame) continue;
    if (part.dataset.part === "rows" && old.dataset.part === "rows") {
      mergeRows(old, part, news);
      continue;
    }
    if (part.dataset.part === "changed") {
      mergeChanged(part, news);
      continue;
    }
    const html = look(part);
    if (drawn.get(old) === html) continue;
    // What was refused stays beside its field, unless there is something new to say.
    if (old.querySelector("[aria-invalid]") && part.dataset.said === old.dataset.said) continue;
    // The part around it does not look any more as it was drawn.
    drawn.delete(old.parentElement.closest("[data-part]"));
    replace(old, part);
    if (part.dataset.said && part.dataset.said !== old.dataset.said) tell(part, news);
    remember(part);
    drawn.set(part, html);
  }
  const next = fresh.querySelector("[data-live]");
  if (next) {
    root.setAttribute("hx-vals", next.getAttribute("hx-vals"));
    root.dataset.pace = next.dataset.pace;
  }
  say(news);
  countOn();
  countInTitle();
  document.dispatchEvent(new Event("parts:merged"));
}

// Before the title's own words stands how many requests wait for this person.
function countInTitle() {
  const count = Number(document.getElementById("waiting-for-me")?.dataset.count);
  const words = document.title.replace(/^\(\d+\) /, "");
  document.title = count ? `(${count}) ${words}` : words;
}

// One line for screen readers: what moved, in words.
function say(news) {
  const status = document.querySelector("[data-status]");
  if (!status || !news.length) return;
  const first = news.slice(0, 3).join(", ");
  const more = news.length > 3 ? ` and ${news.length - 3} more` : "";
  status.textContent = news.length > 1 ? `${news.length} changed: ${first}${more}.` : `${first}.`.replace("”.", "”");
}

htmx.defineExtension("parts", {
  isInlineSwap: (style) => style === "parts",
  handleSwap: (style, target, fragment) => {
    if (style !== "parts") return false;
    merge(target, fragment);
    return [];
  },
});

// ---------- the poll ----------

const live = document.querySelector("[data-live]");
let paused = false;
let asking = false;
let due = null;
let lastAnswer = Date.now();
let askedAt = 0;

// A pace of 0 says that nothing will change any more.
function schedule(seconds) {
  clearTimeout(due);
  if (seconds) due = setTimeout(ask, seconds * 1000);
}

function pace() {
  return Number(document.hidden && !isOver() ? live.dataset.hiddenPace : live.dataset.pace);
}

// From question to question, so that a slow answer is not waited for twice; but half of it is left to a busy desk.
function untilNextS() {
  return Math.max(pace() - (Date.now() - askedAt) / 1000, pace() / 2);
}

function ask() {
  if (!live || paused || asking || isOver() || !pace()) return;
  asking = true;
  askedAt = Date.now();
  htmx.trigger(live, "poll");
}

function isOver() {
  return live.dataset.pace === "0";
}

function freshness(dot, words) {
  const at = document.querySelector("[data-freshness]");
  if (!at) return;
  at.textContent = words;
  document.querySelector("#freshness .live-dot").className = `live-dot ${dot}`;
  document.getElementById("pause").hidden = isOver();
}

function clock(at) {
  return new Date(at).toLocaleTimeString("en-GB", { timeZone: document.documentElement.dataset.zone });
}

// A proxy's page, a sign-in page, an empty 304: whatever brings no news of ours leaves the page as it is.
function refuse(event) {
  const { xhr } = event.detail;
  if (xhr.status === 204 || (xhr.status === 200 && xhr.responseText.includes(`id="${live.id}"`))) return;
  event.detail.shouldSwap = false;
  event.detail.isError = true;
}

// When to try again; who answers 429 or 503 may say so.
function retryS(xhr) {
  const wished = Number(xhr.getResponseHeader("Retry-After")) || 0;
  return Math.min(Math.max(wished, RETRY_S), LONGEST_RETRY_S);
}

if (live) {
  remember(document);
  live.addEventListener("htmx:beforeSwap", refuse);
  live.addEventListener("htmx:afterRequest", (event) => {
    asking = false;
    if (event.detail.successful) {
      lastAnswer = Date.now();
      live.removeAttribute("data-lost");
      const seen = event.detail.xhr.getResponseHeader("Seen");
      if (seen) live.setAttribute("hx-vals", JSON.stringify({ seen }));
      schedule(untilNextS());
    } else {
      live.dataset.lost = "";
      schedule(retryS(event.detail.xhr));
    }
    showFreshness();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) schedule(pace());
    else ask();
  });
  schedule(pace());
  setInterval(showFreshness, 1000);
}

function showFreshness() {
  if (document.hidden || !live) return;
  if (isOver()) freshness("live-dot-off", "Ended, no more changes");
  else if (paused) freshness("live-dot-off", `Paused at ${clock(paused)}`);
  else if ("lost" in live.dataset) freshness("live-dot-ask", `Not connected since ${clock(lastAnswer)}, trying again`);
  else freshness("", `Updated ${age(lastAnswer)} ago`);
}

document.getElementById("pause")?.addEventListener("click", (event) => {
  const button = event.currentTarget;
  paused = paused ? false : Date.now();
  button.setAttribute("aria-pressed", String(Boolean(paused)));
  for (const word of button.querySelectorAll("[data-when]")) word.hidden = (word.dataset.when === "paused") !== Boolean(paused);
  clearTimeout(due);
  if (!paused) ask();
  showFreshness();
});

// ---------- ages ----------

function age(at) {
  const seconds = Math.max(Math.floor((Date.now() - at) / 1000), 0);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 86400 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86400)} d`;
}

function countOn() {
  for (const time of document.querySelectorAll("time[data-age]")) {
    const words = age(Date.parse(time.dateTime));
    if (time.textContent !== words) time.textContent = words;
  }
}

setInterval(() => document.hidden || paused || countOn(), 1000);

countOn();
