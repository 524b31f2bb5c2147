// Shutters: <details data-shutter="/shutters/…/">. Whether one is open is remembered for the user.
// Browsers also report the state a shutter was drawn in; only a change is sent.
document.addEventListener("toggle", (event) => {
  const shutter = event.target;
  if (!shutter.dataset?.shutter) return;
  const state = shutter.open ? "open" : "closed";
  if (shutter.dataset.state === state) return;
  shutter.dataset.state = state;
  htmx.ajax("POST", shutter.dataset.shutter, { source: shutter, swap: "none", values: { state } });
}, true);
