// What is typed in the form of a request or a rule outlives Back, a reload and a closed tab: a draft for each person and
// address, in this browser alone. It goes when the request was taken, at Cancel, at sign-out (in any tab), and after a day. Tokens and ids
// of files are never part of it, nor is what the form filled in by itself: that follows from the rest, and follows anew.
{
  const DAY_MS = 24 * 60 * 60 * 1000;
  const PREFIX = "draft:";
  const SENT = "draft-sent";
  const OVER = "draft-over";
  const form = document.querySelector("form[data-draft]");
  let isOver = false; // signed out in another tab

  // A browser may have no storage to give; then there are no drafts, and nothing else changes.
  const read = (one) => {
    try {
      return JSON.parse(localStorage.getItem(one));
    } catch {
      return null;
    }
  };
  const attempt = (act) => {
    try {
      return act();
    } catch {
      return null;
    }
  };
  const drafts = () => attempt(() => Object.keys(localStorage).filter((one) => one.startsWith(PREFIX))) ?? [];

  function forget(which) {
    for (const one of drafts()) if (which(one)) localStorage.removeItem(one);
  }

  const kept = (control) => control.name && !["hidden", "file", "submit", "button"].includes(control.type);
  const isId = (control) => /^(itwin|source)_id$/.test(control.name);
  const controls = () => [...form.elements].filter((control) => kept(control) || isId(control));
  const isBox = (control) => ["radio", "checkbox"].includes(control.type);
  const drawn = new Map(); // hidden fields have no default of their own

  // In a form that was sent once, all that stands in it has been typed.
  function isTyped(control) {
    if (control.value === control.dataset.suggested) return false;
    if ("draftNewer" in form.dataset) return true;
    if (isBox(control)) return control.checked !== control.defaultChecked;
    if (control.localName !== "select") return control.value !== (drawn.get(control) ?? control.defaultValue);
    const options = [...control.options];
    return control.selectedOptions[0] !== (options.find((one) => one.defaultSelected) ?? options[0]);
  }

  // A form that was refused goes on with the draft that it was sent with, whatever address it had then.
  function keyOf(sent) {
    const own = `${PREFIX}${form.dataset.draft}:${location.pathname}${location.search}`;
    return sent.startsWith(own) ? sent : own;
  }

  function save() {
    if (isOver) return;
    const values = controls()
      .filter(isTyped)
      .map((one) => [one.id, isBox(one) ? one.checked : one.value]);
    if (!values.length) return forget((one) => one === key);
    attempt(() => localStorage.setItem(key, JSON.stringify({ at: Date.now(), values })));
  }

  function restore() {
    const draft = read(key);
    if (!draft) return;
    for (const [id, value] of draft.values) {
      const control = document.getElementById(id);
      if (!control || !controls().includes(control)) continue;
      if (typeof value === "boolean") control.checked = value;
      else if (control.localName === "select") control.value = value;
      else if (control.value === control.defaultValue) control.value = value; // not typed just now
    }
    for (const fold of form.querySelectorAll("details")) {
      fold.open ||= [...fold.querySelectorAll("input")].some((input) => input.value);
    }
    const note = form.querySelector("[data-draft-note]");
    const time = note.querySelector("time");
    time.dateTime = new Date(draft.at).toISOString();
    const how = { hour: "2-digit", minute: "2-digit", timeZone: document.documentElement.dataset.zone };
    time.textContent = new Date(draft.at).toLocaleTimeString("en-GB", how);
    note.hidden = false;
  }

  forget((one) => !(read(one)?.at > Date.now() - DAY_MS));
  const [leadsTo, ...rest] = (attempt(() => sessionStorage.getItem(SENT)) ?? "").split(" ");
  const sent = rest.join(" ");
  const key = form && keyOf(sent);
  if (form) {
    // Shown again, it was not taken.
    attempt(() => sessionStorage.removeItem(SENT));
    for (const control of controls()) if (isId(control)) drawn.set(control, control.getAttribute("value") ?? "");
    if (!("draftNewer" in form.dataset)) restore();
    form.addEventListener("input", save);
    form.addEventListener("change", save);
    form.addEventListener("submit", (event) => {
      if (!event.submitter?.hasAttribute("formaction")) attempt(() => sessionStorage.setItem(SENT, `${form.dataset.draftLeadsTo ?? ""} ${key}`));
    });
  } else if (leadsTo ? location.pathname === leadsTo : /^\/operations\/[0-9a-f-]{36}\/$/.test(location.pathname)) {
    // Arrived where a form leads that was taken: the page of an operation, or the one that it names.
    forget((one) => one === sent);
    attempt(() => sessionStorage.removeItem(SENT));
  }

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-draft-forget]")) forget((one) => one === key);
  });
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-forgets-drafts]")) return;
    forget(() => true);
    attempt(() => localStorage.setItem(OVER, Date.now())); // heard in the other tabs
    attempt(() => localStorage.removeItem(OVER));
  });
  addEventListener("storage", (event) => {
    isOver ||= event.key === OVER;
  });
}
