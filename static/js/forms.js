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

function mend(control) {
  control.removeAttribute("aria-invalid");
  control.closest(".field-bad")?.classList.remove("field-bad");
}
