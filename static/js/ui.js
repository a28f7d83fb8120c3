// What every page has: menus that close, the key that goes to the search, buttons that copy.
// What only works with script is shown from here on.

document.documentElement.dataset.script = "";

function closeMenus(except) {
  for (const menu of document.querySelectorAll("details:is(.drop, .chip)[open]")) if (!menu.contains(except)) menu.open = false;
}

document.addEventListener("click", (event) => {
  closeMenus(event.target);
  const button = event.target.closest("[data-copy]");
  if (button) copy(button);
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    const menu = document.activeElement?.closest("details:is(.drop, .chip)[open]");
    closeMenus(null);
    menu?.querySelector("summary").focus();
    return;
  }
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const search = document.documentElement.dataset.shortcuts !== "off" && document.querySelector("input[type=search]");
  if (!search) return;
  event.preventDefault();
  search.focus();
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
