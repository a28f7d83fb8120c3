// What is typed in the form of a request or a rule outlives Back, a reload and a closed tab: a draft for each person and address, in this
// browser alone. It goes when the request was sent, at Cancel, at sign-out, and after a day. Tokens and ids of files are
// never part of it.
{
  const DAY_MS = 24 * 60 * 60 * 1000;
  const PREFIX = "draft:";
  const SENT = "draft-sent";
  const form = document.querySelector("form[data-draft]");
  const key = form && `${PREFIX}${form.dataset.draft}:${location.pathname}${location.search}`;

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

  function save() {
    const values = controls().map((one) => [one.id, ["radio", "checkbox"].includes(one.type) ? one.checked : one.value]);
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
      else if (control.value === control.defaultValue) control.value = control.defaultValue = value; // not typed just now
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
  if (form) {
    if (!("draftNewer" in form.dataset)) restore();
    form.addEventListener("input", save);
    form.addEventListener("change", save);
    form.addEventListener("submit", (event) => {
      if (!event.submitter?.hasAttribute("formaction")) attempt(() => sessionStorage.setItem(SENT, `${form.dataset.draftLeadsTo ?? ""} ${key}`));
    });
  } else {
    // Arrived where a form leads that was taken: a page of an operation, or the one that it names.
    const [to, ...rest] = (attempt(() => sessionStorage.getItem(SENT)) ?? "").split(" ");
    if (to ? location.pathname === to : location.pathname.startsWith("/operations/")) {
      forget((one) => one === rest.join(" "));
      attempt(() => sessionStorage.removeItem(SENT));
    }
  }

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-draft-forget]")) forget((one) => one === key);
  });
  document.addEventListener("submit", (event) => {
    if (event.target.matches("[data-forgets-drafts]")) forget(() => true);
  });
}
