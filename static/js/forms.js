// Small helps in request forms: take an offered value, copy, and take back the red once one types.
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
  control.removeAttribute("aria-invalid");
  control.closest(".field-bad")?.classList.remove("field-bad");
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
