// Comboboxes: a text field whose list comes from the server while one types (htmx asks, we show).
// Arrow keys, Enter and the mouse pick; Alt+Down opens, Alt+Up and Escape close; Home and End are the text's own.
// The number of hits is told to screen readers. What was picked counts until one types again.
// Without this script the field is a text field.
// Pattern: https://www.w3.org/WAI/ARIA/apg/patterns/combobox/ (editable, list autocomplete).
import Combobox from "../vendor/combobox-nav/index.js";

const PATIENCE_MS = 500;

document.querySelectorAll("[data-combobox]").forEach(connect);

function connect(field) {
  const input = field.querySelector("input:not([type=hidden])");
  const picked = field.querySelector("input[type=hidden]");
  const pop = field.querySelector(".list");
  const status = field.querySelector("[data-said]");
  let nav = null;
  let words = 0; // counts what is typed, asked for and left: an answer to older words is not shown
  let isWaiting = false; // what is typed is newer than what is listed
  let isWanted = false; // typed or opened, and not left or closed since: what htmx was about to ask is not asked then
  let isBestBarred = false; // the first of the list cannot be picked
  let patience = 0; // the timer until a person is told that it takes a while
  const askedWith = new WeakMap();

  input.setAttribute("role", "combobox");
  input.setAttribute("aria-autocomplete", "list");
  input.setAttribute("aria-haspopup", "listbox");
  input.setAttribute("aria-expanded", "false");

  function open() {
    pop.hidden = false;
    pop.scrollIntoView({ block: "nearest" }); // on a phone it may open below the screen
    nav?.start();
  }

  function close() {
    window.htmx.trigger(input, "htmx:abort");
    clearTimeout(patience);
    words += 1;
    isWaiting = isWanted = false;
    pop.hidden = true;
    nav?.stop();
  }

  // A sentence in place of the list.
  function say(text) {
    const line = document.createElement("p");
    line.className = "list-foot";
    line.textContent = status.textContent = text;
    nav?.stop();
    nav = null;
    input.removeAttribute("aria-controls");
    pop.replaceChildren(line);
    pop.removeAttribute("aria-busy");
    pop.hidden = false;
  }

  function ask() {
    words += 1;
    isWaiting = isWanted = true;
    window.htmx.trigger(input, "open");
  }

  function pick(option) {
    if (option.dataset.more) return showMore(option);
    input.value = option.dataset.text;
    if (picked) picked.value = option.dataset.id;
    close();
    status.textContent = `${option.dataset.text} picked`;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }

  // The option gives way to the ones it stands for; the list stays where it is, and goes on at the first of them.
  async function showMore(option) {
    const before = option.previousElementSibling;
    const list = option.parentElement;
    option.setAttribute("aria-disabled", "true"); // asked for once
    status.textContent = "Searching older ones";
    await window.htmx.ajax("GET", option.dataset.more, { source: option, target: option, swap: "outerHTML" });
    if (option.isConnected || !list.isConnected || pop.hidden) return;
    const first = before ? before.nextElementSibling : list.firstElementChild;
    nav.clearSelection();
    if (first) {
      first.setAttribute("aria-selected", "true");
      input.setAttribute("aria-activedescendant", first.id);
    }
    status.textContent = `${list.querySelectorAll("[data-text]").length} found, use the arrow keys`;
  }

  input.addEventListener("input", () => {
    if (picked) picked.value = "";
    words += 1;
    isWaiting = isWanted = true;
    nav?.stop();
    pop.setAttribute("aria-busy", "true");
  });
  input.addEventListener("click", () => pop.hidden && ask());
  // The field has the focus before this script is there: what was typed until then is asked for, too, once htmx listens.
  document.addEventListener("DOMContentLoaded", () => {
    if (document.activeElement === input && input.value !== input.defaultValue) {
      input.dispatchEvent(new Event("input", { bubbles: true }));
    }
  });
  // Before the list's own keys: what is meant for the text is kept from them.
  input.addEventListener(
    "keydown",
    (event) => {
      const isArrow = event.key === "ArrowDown" || event.key === "ArrowUp";
      const closes = event.key === "Escape" || (event.altKey && event.key === "ArrowUp");
      if (closes && (!pop.hidden || isWanted)) {
        event.preventDefault();
        event.stopImmediatePropagation();
        close();
      } else if (isArrow && pop.hidden) {
        event.preventDefault();
        if (!closes) ask();
      } else if (event.key === "Enter" && isWaiting) {
        event.preventDefault(); // the list on the screen is older than the text
      } else if (event.key === "Enter" && isBestBarred && !pop.hidden && !input.hasAttribute("aria-activedescendant")) {
        event.preventDefault();
        status.textContent = pop.querySelector("[role=option]").innerText;
      } else if (["Home", "End", "ArrowLeft", "ArrowRight"].includes(event.key) && nav) {
        event.stopImmediatePropagation(); // the caret moves, and nothing is active in the list
        nav.clearSelection();
      }
    },
    { capture: true },
  );
  input.addEventListener("focusout", close);

  pop.addEventListener("mousedown", (event) => event.target.closest("a") || event.preventDefault());
  pop.addEventListener("combobox-commit", (event) => pick(event.target));

  // Opened with a thing already picked: show all there is, not just that one.
  input.addEventListener("htmx:configRequest", (event) => {
    if (event.detail.triggeringEvent?.type === "open" && (picked ? picked.value : input.value)) {
      event.detail.parameters[input.name] = "";
    }
  });
  field.addEventListener("htmx:beforeRequest", (event) => {
    if (event.target === input && !isWanted) return event.preventDefault();
    askedWith.set(event.detail.xhr, words);
    clearTimeout(patience);
    if (event.target === input && pop.hidden) patience = setTimeout(say, PATIENCE_MS, "Searching the platform …");
  });
  input.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful || askedWith.get(event.detail.xhr) !== words) return;
    clearTimeout(patience);
    isWaiting = false;
    say("No answer. Keep typing to search again, or paste an id or a link.");
  });
  field.addEventListener("htmx:beforeSwap", (event) => {
    if (askedWith.get(event.detail.xhr) !== words) event.detail.shouldSwap = false;
  });
  pop.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target !== pop) return;
    const list = pop.querySelector("[role=listbox]");
    clearTimeout(patience);
    nav?.stop();
    isWaiting = false;
    // Where the best match cannot be picked, Enter must not take the next best: it reads why it cannot.
    isBestBarred = list?.firstElementChild?.getAttribute("aria-disabled") === "true";
    const firstOptionSelectionMode = isBestBarred ? "none" : "selected";
    nav = list && new Combobox(input, list, { tabInsertsSuggestions: false, firstOptionSelectionMode });
    if (!list) input.removeAttribute("aria-controls");
    pop.removeAttribute("aria-busy");
    open();
    status.textContent = pop.querySelector("[data-said]")?.dataset.said ?? "";
  });
}
