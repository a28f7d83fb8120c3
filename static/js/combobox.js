// Comboboxes: a text field whose list comes from the server while one types (htmx asks, we show).
// Arrow keys, Enter and the mouse pick; Escape closes; the number of hits is told to screen readers.
// What was picked counts until one types again. Without this script the field is a text field.
import Combobox from "../vendor/combobox-nav/index.js";

document.querySelectorAll("[data-combobox]").forEach(connect);

function connect(field) {
  const input = field.querySelector("input:not([type=hidden])");
  const picked = field.querySelector("input[type=hidden]");
  const pop = field.querySelector(".list");
  const status = field.querySelector("[data-said]");
  let nav = null;
  let words = 0; // counts what is typed, asked for and left: an answer to older words is not shown
  let isWaiting = false; // what is typed is newer than what is listed
  const askedWith = new WeakMap();

  input.setAttribute("role", "combobox");
  input.setAttribute("aria-autocomplete", "list");
  input.setAttribute("aria-expanded", "false");

  function open() {
    pop.hidden = false;
    nav?.start();
  }

  function close() {
    window.htmx.trigger(input, "htmx:abort");
    words += 1;
    isWaiting = false;
    pop.hidden = true;
    nav?.stop();
  }

  function ask() {
    words += 1;
    isWaiting = true;
    window.htmx.trigger(input, "open");
  }

  function pick(option) {
    input.value = option.dataset.text;
    if (picked) picked.value = option.dataset.id;
    close();
    status.textContent = `${option.dataset.text} picked`;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }

  input.addEventListener("input", () => {
    if (picked) picked.value = "";
    words += 1;
    isWaiting = true;
    nav?.stop();
    pop.setAttribute("aria-busy", "true");
  });
  input.addEventListener("click", () => pop.hidden && ask());
  input.addEventListener("keydown", (event) => {
    const isArrow = event.key === "ArrowDown" || event.key === "ArrowUp";
    if (event.key === "Escape" && !pop.hidden) {
      event.preventDefault();
      close();
    } else if (isArrow && pop.hidden) {
      event.preventDefault();
      ask();
    } else if (event.key === "Enter" && isWaiting) {
      event.preventDefault(); // the list on the screen is older than the text
    }
  });
  input.addEventListener("focusout", close);

  pop.addEventListener("mousedown", (event) => event.target.closest("a") || event.preventDefault());
  pop.addEventListener("combobox-commit", (event) => pick(event.target));

  // Opened with a thing already picked: show all there is, not just that one.
  input.addEventListener("htmx:configRequest", (event) => {
    if (event.detail.triggeringEvent?.type === "open" && (picked ? picked.value : input.value)) {
      event.detail.parameters[input.name] = "";
    }
  });
  input.addEventListener("htmx:beforeRequest", (event) => askedWith.set(event.detail.xhr, words));
  pop.addEventListener("htmx:beforeSwap", (event) => {
    if (askedWith.get(event.detail.xhr) !== words) event.detail.shouldSwap = false;
  });
  pop.addEventListener("htmx:afterSwap", () => {
    const list = pop.querySelector("[role=listbox]");
    nav?.stop();
    isWaiting = false;
    nav = list && new Combobox(input, list, { tabInsertsSuggestions: false, firstOptionSelectionMode: "selected" });
    pop.removeAttribute("aria-busy");
    open();
    status.textContent = pop.querySelector("[data-said]")?.dataset.said ?? "";
  });
}
