// “/” goes to the search, j and k walk through a list (data-list, its links data-open), Enter opens.
(() => {
  const search = document.getElementById("search");
  const results = document.getElementById("search-results");
  const isTyping = (target) => target.closest("input, textarea, select, [contenteditable]");

  function step(list, by, links) {
    const at = links.indexOf(document.activeElement?.closest("[data-row]")?.querySelector("[data-open]") || document.activeElement);
    const next = links[at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(links.length - 1, Math.max(0, at + by))];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  }

  function currentList() {
    const within = document.activeElement?.closest("[data-list]");
    return within || document.querySelector("dialog[open] [data-list]") || document.querySelector("[data-list]");
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (isTyping(event.target)) return;
    if (event.key === "/" && search && !document.querySelector("dialog[open]")) {
      event.preventDefault();
      search.focus();
      search.select();
    } else if (event.key === "j" || event.key === "k") {
      const list = currentList();
      if (list) step(list, event.key === "j" ? 1 : -1, [...list.querySelectorAll("[data-open]")]);
    }
  });

  if (!search) return;
  const hide = () => { results.replaceChildren(); };
  search.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") {
      event.preventDefault();
      results.querySelector("a")?.focus();
    } else if (event.key === "Escape") {
      hide();
      search.blur();
    }
  });
  results.addEventListener("keydown", (event) => {
    const links = [...results.querySelectorAll("a")];
    const at = links.indexOf(document.activeElement);
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      (links[at + (event.key === "ArrowDown" ? 1 : -1)] || search).focus();
    } else if (event.key === "Escape") {
      hide();
      search.focus();
    }
  });
  document.addEventListener("focusin", (event) => {
    if (!event.target.closest("#search-form")) hide();
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest("#search-form")) hide();
  });
})();
