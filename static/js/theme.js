// Theme, contrast, shortcuts and notifications, chosen in the person menu or among the preferences. Remembered in a cookie, so that the server
// can render the right attributes next time; without this file the form posts the same choice.
const root = document.documentElement;
const followSystem = document.getElementById("theme-system");

function apply(name, value) {
  if (name === "theme") {
    root.dataset.theme = value;
    root.dataset.iuiTheme = value === "dark" ? "dark" : "light";
    followSystem.disabled = value !== "system";
  } else if (name === "shortcuts" || name === "notify") {
    root.dataset[name] = value;
  } else {
    root.dataset.iuiContrast = value;
    // os.css follows the system's own contrast; ours needs a definite theme.
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    if (value === "high" && root.dataset.theme === "system") choose("theme", dark ? "dark" : "light");
  }
  for (const button of document.querySelectorAll(`button[name="${name}"]`)) {
    button.setAttribute("aria-pressed", String(button.value === value));
  }
}

function setCookie(name, value) {
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `${name}=${value}; path=/; max-age=31536000; samesite=lax${secure}`;
}

function choose(name, value) {
  setCookie(name, value);
  apply(name, value);
}

// The browser's time zone, for whoever has chosen none.
setCookie("zone", Intl.DateTimeFormat().resolvedOptions().timeZone);

document.addEventListener("click", (event) => {
  const button = event.target.closest('button:is([name="theme"], [name="contrast"], [name="shortcuts"], [name="notify"])');
  if (!button) return;
  event.preventDefault();
  choose(button.name, button.value);
});
