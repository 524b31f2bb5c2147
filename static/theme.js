// Light, dark, or what the system prefers. In the head and not deferred: no flash of the other one.
(() => {
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const choice = () => localStorage.getItem("theme") || "auto";

  function apply() {
    const isDark = choice() === "dark" || (choice() === "auto" && prefersDark.matches);
    document.documentElement.dataset.bsTheme = isDark ? "dark" : "light";
    for (const button of document.querySelectorAll("[data-theme-choice]")) {
      button.setAttribute("aria-pressed", String(button.dataset.themeChoice === choice()));
    }
  }

  apply();
  prefersDark.addEventListener("change", apply);
  addEventListener("storage", apply);
  document.addEventListener("DOMContentLoaded", apply);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-theme-choice]");
    if (!button) return;
    localStorage.setItem("theme", button.dataset.themeChoice);
    apply();
    event.stopPropagation(); // the menu stays open, so that the choice can be seen
  }, true);
})();
