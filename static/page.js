// Small things: explanations on hover and focus, times that count on, copying, choosing all rows.
(() => {
  // --- explanations: <span data-tip data-bs-title="…" tabindex="0"> ----------------------------
  for (const place of [document.body, document.getElementById("dialog")]) {
    const selector = place === document.body ? "[data-tip]" : "dialog [data-tip]";
    new tabler.Tooltip(place, { selector, container: place, trigger: "hover focus" });
  }
  const dropOrphans = () => {
    for (const tip of document.querySelectorAll(".tooltip")) {
      if (!document.querySelector(`[aria-describedby="${tip.id}"]`)) tip.remove();
    }
  };
  document.addEventListener("htmx:afterSwap", dropOrphans);

  // --- times: the words of crm_sync/templatetags/crm.py ------------------------------------------
  function words(seconds) {
    const distance = Math.abs(seconds);
    if (distance < 45) return seconds >= 0 ? "just now" : "in a moment";
    const minutes = Math.max(1, Math.round(distance / 60));
    if (minutes >= 24 * 60) return "";
    const length = minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h`;
    return seconds >= 0 ? `${length} ago` : `in ${length}`;
  }
  setInterval(() => {
    for (const time of document.querySelectorAll("time[data-ago]")) {
      const text = words((Date.now() - Date.parse(time.dateTime)) / 1000);
      if (text && time.textContent !== text) time.textContent = text;
    }
  }, 15000);

  document.addEventListener("click", async (event) => {
    // --- copying: <button data-copy="text"> ------------------------------------------------------
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      await navigator.clipboard.writeText(copy.dataset.copy);
      copy.classList.add("is-copied");
      setTimeout(() => copy.classList.remove("is-copied"), 1500);
    }
    // --- names in a “;” list: <button data-name="Inbox" data-names="id of the field"> --------------
    const name = event.target.closest("[data-names]");
    if (name) toggleName(document.getElementById(name.dataset.names), name.dataset.name);
  });

  function namesIn(field) {
    return field.value.split(";").map((part) => part.trim()).filter(Boolean);
  }
  function toggleName(field, name) {
    const isSame = (other) => other.toLowerCase() === name.toLowerCase();
    const names = namesIn(field);
    const kept = names.filter((other) => !isSame(other));
    field.value = (kept.length < names.length ? kept : [...names, name]).join("; ");
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
  function markNames() {
    for (const button of document.querySelectorAll("[data-names]")) {
      const names = namesIn(document.getElementById(button.dataset.names)).map((name) => name.toLowerCase());
      button.setAttribute("aria-pressed", String(names.includes(button.dataset.name.toLowerCase())));
    }
  }
  document.addEventListener("input", markNames);
  document.addEventListener("htmx:afterSettle", markNames);

  document.addEventListener("change", (event) => {
    // --- filters that apply at once: <form data-autosubmit> --------------------------------------
    event.target.closest("form[data-autosubmit]")?.requestSubmit();
    // --- choosing rows: boxes with form="x", one or more boxes data-all="x" ----------------------
    const box = event.target;
    if (box.type === "checkbox" && (box.dataset.all || box.form)) choose(box.dataset.all || box.form.id, box);
  });

  function choose(id, box) {
    const boxes = [...document.querySelectorAll(`tbody input[type=checkbox][form="${id}"]`)];
    const all = [...document.querySelectorAll(`[data-all="${id}"]`)];
    if (all.includes(box)) for (const other of boxes) other.checked = box.checked;
    const chosen = boxes.filter((other) => other.checked).length;
    for (const one of all) {
      one.checked = chosen === boxes.length && chosen > 0;
      one.indeterminate = chosen > 0 && chosen < boxes.length;
    }
    for (const count of document.querySelectorAll(`[data-chosen="${id}"]`)) count.textContent = chosen;
    for (const button of document.querySelectorAll(`[data-needs-chosen="${id}"]`)) button.disabled = !chosen;
  }
  for (const list of document.querySelectorAll("[data-choose]")) choose(list.dataset.choose, null);
})();
