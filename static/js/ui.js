// What every page has: menus that close, buttons that copy, forms that are sent once.

// On a phone the bar scrolls, and where one is may be out of its sight.
document.querySelector(".nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

function closeMenus(except) {
  for (const menu of document.querySelectorAll("details:is(.drop, .chip)[open]")) if (!menu.contains(except)) menu.open = false;
}

document.addEventListener("click", (event) => {
  closeMenus(event.target);
  const button = event.target.closest("[data-copy]");
  if (button) copy(button);
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const menu = document.activeElement?.closest("details:is(.drop, .chip)[open]");
  closeMenus(null);
  menu?.querySelector("summary").focus();
});

async function copy(button) {
  const status = document.querySelector("[data-status]");
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
  } catch {
    if (status) status.textContent = "Could not copy: the browser does not allow it.";
    return;
  }
  if (status) status.textContent = "Copied.";
  button.classList.add("copied");
  setTimeout(() => button.classList.remove("copied"), 1500);
}

// While a form's answer is awaited, its button is busy and a second click does nothing. After a while it may be sent
// again: the server makes one thing of both. Heard last, so that what htmx or an upload stopped is not waited for.
const AWAITED_MS = 30000;

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  if (form.dataset.sent !== undefined) return event.preventDefault();
  form.dataset.sent = "";
  event.submitter?.setAttribute("aria-busy", "true");
  const status = document.querySelector("[data-status]");
  if (status) status.textContent = "Sending …";
  setTimeout(free, AWAITED_MS, form);
});

// Come back to with the browser's Back button, or changed meanwhile, it can be sent again.
window.addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach(free));
document.addEventListener("input", (event) => event.target.form && free(event.target.form));

function free(form) {
  delete form.dataset.sent;
  form.querySelectorAll("button[aria-busy]").forEach((button) => button.removeAttribute("aria-busy"));
}
