// One <dialog> for the page. A link with data-dialog opens its own address in it: the address bar
// shows it, Back and Esc close it, and a reload gives the same as a page (templates/dialog.html).
(() => {
  const dialog = document.getElementById("dialog");
  const body = document.getElementById("dialog-body");
  let base = location.pathname + location.search; // the page under the dialog
  let depth = 0; // history entries between the page and what the dialog shows
  let pageTitle = document.title;
  let openerId = "";

  function load(url) {
    if (!dialog.open) {
      pageTitle = document.title;
      openerId = document.activeElement?.id || "";
      body.replaceChildren(crm.skeleton());
      dialog.showModal();
    }
    return htmx.ajax("GET", url, { target: body, swap: "innerHTML show:#dialog-body:top" });
  }

  function open(url) {
    if (!depth) base = location.pathname + location.search; // filters may have changed it
    depth += 1;
    history.pushState({ dialog: url, depth }, "", url);
    load(url);
  }

  crm.openDialog = open;

  function turn(url) {
    history.replaceState({ dialog: url, depth }, "", url);
    load(url);
  }

  function close() {
    if (dialog.open) dialog.close(); // the browser gives the focus back to the opener …
    const isLost = document.activeElement === document.body || dialog.contains(document.activeElement);
    if (openerId && isLost) {
      document.getElementById(openerId)?.focus(); // … unless a poll has drawn a new one meanwhile
    }
    body.replaceChildren();
    document.title = pageTitle;
  }

  function leave() {
    const steps = depth;
    depth = 0;
    close();
    if (steps) history.go(-steps);
  }

  addEventListener("popstate", (event) => {
    if (event.state?.dialog) {
      depth = event.state.depth;
      load(event.state.dialog);
    } else {
      depth = 0;
      close();
      // A dialog's page that was reloaded still shares its history with the page before it.
      if (location.pathname + location.search !== base) location.reload();
    }
  });

  // After a reload the address is the dialog's own page; the entry's note about a dialog is stale.
  if (history.state?.dialog) history.replaceState(null, "", location.href);

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-dialog-close]") && dialog.open) {
      event.preventDefault();
      return leave();
    }
    const link = event.target.closest("a[href]");
    const isOwn = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey;
    if (!link || !isOwn || event.defaultPrevented || link.target || link.hasAttribute("download")) return;
    const isInside = dialog.contains(link);
    const isSamePath = isInside && link.pathname === location.pathname && !link.hasAttribute("data-page");
    if (link.dataset.dialog === undefined && !isSamePath) return;
    event.preventDefault();
    if (isSamePath) return turn(link.href);
    link.focus({ preventScroll: true }); // not every click does, and that is where Esc leads back
    open(link.href);
  });

  // Forms in a dialog stay in it. The view answers a success with `crm_sync.browser.go_to`.
  dialog.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.hasAttribute("hx-post") || form.hasAttribute("hx-get")) return;
    event.preventDefault();
    const values = new FormData(form, event.submitter);
    const action = form.getAttribute("action") || location.pathname + location.search;
    if (form.method === "get") {
      const filled = [...values].filter(([, value]) => value !== "");
      turn(`${action.split("?")[0]}?${new URLSearchParams(filled)}`);
    } else {
      htmx.ajax("POST", action, { target: body, swap: "innerHTML", source: form, values: Object.fromEntries([...values.keys()].map((key) => [key, values.getAll(key)])) });
    }
  });

  dialog.addEventListener("cancel", (event) => {
    if (event.target !== dialog) return;
    event.preventDefault();
    leave();
  });
  // On the backdrop, and begun there: selecting text out of the dialog must not close it.
  let isPressedOutside = false;
  dialog.addEventListener("mousedown", (event) => { isPressedOutside = event.target === dialog; });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog && isPressedOutside) leave();
  });
  document.addEventListener("dialog-close", leave); // HX-Trigger: dialog-close
})();
