// Keys. Those without Ctrl can be switched off, and never act in a field (but for a box that ticks a row) or while a
// dialog is open. Which link one of
// them follows is said by the link: data-key="g o". On approvals, data-act="a" says what a letter does: a field gets the
// focus, a link is followed, and before a button is pressed its data-sure is asked.
{
  const palette = document.getElementById("palette");
  const help = document.getElementById("keys");
  const text = document.getElementById("palette-text");
  const sure = document.getElementById("confirm");
  const NEXT_WITHIN_MS = 1500; // the second key of two
  let begun = "";
  let timer = 0;

  let listed = null; // the text that the palette's list is for
  let awaited = null; // the text for which Enter was pressed before its list had come

  const isInField = (target) => target.closest("input:not([name=pick], [name=chosen], #pick-all), textarea, select, [contenteditable]");

  function focus(control) {
    control?.focus();
    return Boolean(control);
  }

  function move(by) {
    const rows = [...document.querySelectorAll("tbody .c-name a")];
    const at = rows.findIndex((link) => link.closest("tr").contains(document.activeElement));
    return focus(rows[Math.max(0, Math.min(rows.length - 1, at < 0 ? 0 : at + by))]);
  }

  // Not as a modal one: that makes the page inert, for which a browser styles all of it anew. The dialog is a sheet over
  // the page, which takes the clicks, and Tab stays inside.
  function show(dialog) {
    if (dialog.open) return;
    dialog.show();
    if (dialog === palette) {
      text.select();
      setTimeout(() => htmx.trigger(text, "open")); // once the dialog is painted
    }
  }

  // What is ticked; without any, the row that has the focus.
  function chosen() {
    const boxes = [...document.querySelectorAll("input[name=chosen]")];
    const ticked = boxes.filter((box) => box.checked);
    const here = document.activeElement.closest("tr")?.querySelector("input[name=chosen]");
    if (ticked.length || !here) return ticked;
    here.checked = true;
    return [here];
  }

  function decide(button) {
    const needed = document.getElementById(button.dataset.needs ?? "");
    if (needed && !needed.value.trim()) return focus(needed);
    const several = button.form.id === "several";
    const names = several ? chosen().map((box) => box.dataset.name) : [];
    if (several && !names.length) return move(0);
    document.getElementById("confirm-text").textContent = button.dataset.sure.replace("…", names.join(", "));
    sure.returnValue = "";
    sure.onclose = () => sure.returnValue === "yes" && button.click();
    sure.showModal();
    return true;
  }

  function act(control) {
    if (control.dataset.sure) return decide(control);
    if (control.matches("a")) return control.click();
    return focus(control);
  }

  // What a key does; false: nothing here.
  const ACTS = {
    "?": () => show(help),
    "/": () => focus(document.querySelector("main input[type=search]")),
    j: () => move(1),
    k: () => move(-1),
  };

  function press(key) {
    const pair = begun ? `${begun} ${key}` : key;
    begun = "";
    clearTimeout(timer);
    const control = document.querySelector(`main [data-act="${CSS.escape(pair)}"]`);
    if (control) return act(control);
    if (pair === "n" && document.querySelector("input[name=chosen]")) return move(1);
    const link = document.querySelector(`[data-key="${CSS.escape(pair)}"]`);
    if (link) return link.click();
    if (ACTS[pair]) return ACTS[pair]();
    if (document.querySelector(`[data-key^="${CSS.escape(key)} "]`)) {
      begun = key;
      timer = setTimeout(() => (begun = ""), NEXT_WITHIN_MS);
    }
    return false;
  }

  function goToFirst() {
    palette.querySelector("#palette-found a")?.click();
  }

  // Inside a dialog. Among the palette's links the field is the first stop; Enter there goes to the first link of what is
  // typed, not of what was typed before it.
  function walk(dialog, event) {
    awaited = null;
    const stops = [...dialog.querySelectorAll("input, a, button")];
    const by = { Tab: event.shiftKey ? -1 : 1, ...(dialog === palette && { ArrowDown: 1, ArrowUp: -1 }) }[event.key];
    const at = stops.indexOf(document.activeElement);
    if (event.key === "Escape") {
      dialog.close();
    } else if (by) {
      event.preventDefault();
      stops[(at + by + stops.length) % stops.length].focus();
    } else if (event.key === "Enter" && document.activeElement === text) {
      event.preventDefault();
      if (listed === text.value) goToFirst();
      else awaited = text.value;
    } else if (event.key.length === 1 && at > 0 && !event.ctrlKey && !event.metaKey) {
      text.focus(); // and the letter goes there
    }
  }

  palette?.addEventListener("htmx:afterSwap", (event) => {
    listed = event.detail.requestConfig.parameters.q;
    if (listed === awaited && awaited === text.value) goToFirst();
  });
  // The list will not come: there is a page for it.
  for (const failure of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
    text?.addEventListener(failure, () => awaited !== null && text.form.submit());
  }

  // Ctrl+Enter sends a form that has one main button. Never a decision: for that one presses its button, or is asked.
  const DECIDES = /\/(approve|reject|request-changes|bypass|decide)$/;

  function mainButton(form) {
    const mains = [...(form?.method === "post" ? form.elements : [])].filter(
      (one) => one.type === "submit" && one.matches('[data-iui-variant="high-visibility"], [aria-keyshortcuts]'),
    );
    return mains.length === 1 && !DECIDES.test(new URL(mains[0].formAction).pathname) ? mains[0] : null;
  }

  // Before a list's own Enter: with Ctrl the form goes as it is.
  document.addEventListener(
    "keydown",
    (event) => {
      const button = event.key === "Enter" && (event.ctrlKey || event.metaKey) && mainButton(event.target.form);
      if (!button) return;
      event.preventDefault();
      event.stopPropagation();
      button.form.requestSubmit(button);
    },
    { capture: true },
  );

  document.addEventListener("keydown", (event) => {
    if (!palette) return; // nobody is signed in
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      for (const one of [help, sure]) one.close();
      return show(palette);
    }
    const dialog = [palette, help].find((one) => one.open);
    if (dialog) return walk(dialog, event);
    const isOff = document.documentElement.dataset.shortcuts === "off" || sure.open || isInField(event.target);
    if (isOff || event.ctrlKey || event.metaKey || event.altKey || event.key.length > 1) return;
    if (press(event.key) !== false) event.preventDefault();
  });
  // A click beside a dialog is a click on its backdrop.
  for (const dialog of [palette, help, sure]) dialog?.addEventListener("click", (event) => event.target === dialog && dialog.close());
}
