// Tables with rows to tick: how many are, all or none at once, which are marked, and what can be done with how many.

function countTicked() {
  const boxes = [...document.querySelectorAll("input[name=pick][type=checkbox]")];
  const ticked = boxes.filter((box) => box.checked);
  for (const box of boxes) box.closest("tr").classList.toggle("selected", box.checked);
  const all = document.getElementById("pick-all");
  if (all) {
    all.checked = boxes.length > 0 && ticked.length === boxes.length;
    all.indeterminate = ticked.length > 0 && !all.checked;
  }
  for (const at of document.querySelectorAll("[data-ticked]")) at.textContent = ticked.length;
  for (const button of document.querySelectorAll("#bulk [name=act]")) {
    const possible = ticked.filter((box) => box.dataset.can.split(" ").includes(button.value)).length;
    button.hidden = !possible;
    button.querySelector("[data-count]").textContent = possible;
  }
}

document.addEventListener("change", (event) => {
  if (event.target.id === "pick-all") {
    for (const box of document.querySelectorAll("input[name=pick]")) box.checked = event.target.checked;
  }
  if (event.target.matches("#pick-all, input[name=pick]")) countTicked();
});

// The bar may be a part of a live page, which is replaced.
document.addEventListener("click", (event) => {
  if (event.target.closest("button")?.id !== "pick-none") return;
  for (const box of document.querySelectorAll("input[name=pick]")) box.checked = false;
  countTicked();
  document.getElementById("pick-all")?.focus();
});

document.addEventListener("parts:merged", countTicked);
countTicked();
