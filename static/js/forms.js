// Small helps in request forms: take an offered value, fill in what follows from the source, and take back the red once
// one types.
document.addEventListener("click", (event) => {
  const offer = event.target.closest("[data-fill]");
  if (offer) {
    event.preventDefault();
    const field = document.getElementById(offer.dataset.fill);
    field.value = offer.dataset.value;
    if (field.type !== "hidden") field.focus();
    mend(field);
    field.dispatchEvent(new Event("change", { bubbles: true }));
  }
});

document.addEventListener("input", (event) => mend(event.target));
document.addEventListener("change", (event) => mend(event.target));

function mend(control) {
  const field = control.closest(".field-bad");
  field?.querySelectorAll(".msgs > .msg-bad:not([data-refused])").forEach((wrong) => wrong.remove());
  field?.classList.remove("field-bad");
  control.removeAttribute("aria-invalid");
  takeBack(control.name);
}

// What the platform said about an earlier try holds until what it is about is changed.
function takeBack(name) {
  document.querySelectorAll(`[data-refused~="${CSS.escape(name ?? "")}"]`).forEach((refusal) => {
    const field = refusal.closest(".field-bad");
    field?.classList.remove("field-bad");
    field?.querySelectorAll("[aria-invalid]").forEach((control) => control.removeAttribute("aria-invalid"));
    refusal.remove();
  });
}

// What the source suggests (templates/new_imodel/_advice.html) goes where nothing was typed. It goes again, for another
// suggestion, when another source is picked.
let suggestedFor = "";
const sourceId = () => document.getElementById("source_id")?.value;

document.addEventListener("htmx:afterSwap", () => {
  for (const offer of document.querySelectorAll("[data-suggest]")) {
    const field = document.getElementById(offer.dataset.suggest);
    if (field && !field.value) field.value = field.dataset.suggested = offer.value;
    suggestedFor = sourceId();
    if (field) mend(field);
    offer.remove();
  }
});

document.addEventListener("change", (event) => {
  // A browser tells of the change once more when the field is left.
  if (event.target.id !== "source" || sourceId() === suggestedFor) return;
  for (const field of document.querySelectorAll("[data-suggested]")) {
    if (field.value === field.dataset.suggested) field.value = "";
    delete field.dataset.suggested;
  }
});
