// A notification of the browser's own when something ends, or waits for this person, while nobody looks at the page.
// There is no push service: what a live page's answers bring is told, so a page has to be open. Permission is asked for
// by a click alone (Preferences). Where the browser shows none from a page, as on Android, nothing happens.
{
  const root = document.documentElement;
  const isGranted = () => "Notification" in window && Notification.permission === "granted";

  function show(part) {
    try {
      const shown = new Notification("iModel Desk", { body: part.dataset.said, tag: part.id });
      shown.addEventListener("click", () => {
        window.focus();
        const link = part.querySelector("a.name");
        if (link) location.assign(link.href);
        shown.close();
      });
    } catch {
      root.dataset.notify = "off";
    }
  }

  document.addEventListener("part:said", (event) => {
    const isWanted = root.dataset.notify === "on" && isGranted() && document.hidden;
    if (isWanted && "notify" in event.detail.dataset) show(event.detail);
  });

  // theme.js remembers the choice; one that the browser does not allow is none.
  document.addEventListener(
    "click",
    async (event) => {
      const button = event.target.closest('button[name="notify"][value="on"]');
      if (!button || isGranted()) return;
      event.preventDefault();
      event.stopPropagation();
      if ("Notification" in window && (await Notification.requestPermission()) === "granted") button.click();
      else document.getElementById("notify-blocked").hidden = false;
    },
    { capture: true },
  );
}
