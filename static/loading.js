// What happens around htmx's requests: skeletons, failures with a Retry, polling that keeps still.
(() => {
  const clone = (id) => document.getElementById(id).content.cloneNode(true);

  window.crm = {
    skeleton: () => clone("template-skeleton"),
  };

  function sentence(status) {
    if (!status) return "The server did not answer. Check your connection.";
    if (status === 404 || status === 403) {
      return "This is no longer here, or you may not see it. Reload the page to see what is.";
    }
    if (status >= 500) return "The server could not answer this. Nothing of yours is lost.";
    return `The server refused this (${status}). Reload the page and try again.`;
  }

  function failed(event) {
    const { requestConfig, target, xhr } = event.detail;
    const words = sentence(xhr ? xhr.status : 0);
    if (requestConfig.verb !== "get") return toast(words);
    const { elt, path } = requestConfig;
    // A polled piece keeps what it read last; it is asked for again soon.
    if (elt.hasAttribute("data-poll") && !target.querySelector(".skeleton, .load-error")) return;
    const box = clone("template-load-error");
    box.querySelector("[data-sentence]").textContent = words;
    box.querySelector("[data-retry]").addEventListener("click", () => {
      target.replaceChildren(clone("template-skeleton"));
      htmx.ajax("GET", path, { source: elt, target });
    });
    target.replaceChildren(box);
  }

  function toast(words) {
    const alert = clone("template-toast");
    alert.querySelector("[data-sentence]").textContent = words;
    const open = document.querySelector("dialog[open] .dialog-body-outer");
    (open || document.getElementById("messages")).prepend(alert);
    if (!open) scrollTo({ top: 0 });
  }

  for (const name of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, failed);
  }

  // Polling: the same answer changes nothing, and nothing moves or vanishes under the pointer or the
  // focus. What has an id and the same words before and after is kept in its place; what has not is
  // left alone until hand and keyboard have rested, so that whoever pressed it sees what came of it.
  // An explanation stays for as long as it is read.
  const REST = 3000;
  const tips = "[data-tip]:hover, [data-tip]:focus";
  const touch = "a:hover, button:hover, a:focus, button:focus";
  let lastMove = 0;
  for (const name of ["pointermove", "keydown"]) {
    document.addEventListener(name, () => { lastMove = Date.now(); }, { passive: true });
  }

  function staysIn(page, element) {
    const successor = element.id && page.getElementById(element.id);
    return Boolean(successor) && successor.textContent.trim() === element.textContent.trim();
  }

  let anchor = null; // what the pointer or the focus is on, and where
  document.addEventListener("htmx:beforeSwap", (event) => {
    const poll = event.detail.requestConfig.elt;
    anchor = null;
    if (!poll.hasAttribute("data-poll") || event.detail.isError) return;
    const answer = event.detail.xhr.responseText;
    const touched = [...poll.querySelectorAll(touch)];
    const page = touched.length ? new DOMParser().parseFromString(answer, "text/html") : null;
    const isAtRest = Date.now() - lastMove > REST;
    const isInTheWay = poll.querySelector(tips) || (!isAtRest && touched.some((one) => !staysIn(page, one)));
    if (poll.dataset.seen === digest(answer) || isInTheWay) {
      event.detail.shouldSwap = false;
    } else if (touched.length) {
      anchor = { id: touched[0].id, top: touched[0].getBoundingClientRect().top };
    }
  });
  document.addEventListener("htmx:afterSwap", () => {
    const element = anchor?.id && document.getElementById(anchor.id);
    if (element) scrollBy(0, element.getBoundingClientRect().top - anchor.top);
    anchor = null;
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    const poll = event.detail.elt.closest?.("[data-poll]");
    if (poll && event.detail.xhr) poll.dataset.seen = digest(event.detail.xhr.responseText);
  });

  function digest(text) {
    let hash = 0;
    for (let i = 0; i < text.length; i++) hash = (hash * 31 + text.charCodeAt(i)) | 0;
    return String(hash);
  }

  // The request waits beneath a button that says so.
  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (event.defaultPrevented || !button || event.target.method === "get") return;
    setTimeout(() => { button.disabled = true; });
    addEventListener("pageshow", () => { button.disabled = false; }, { once: true });
  });
})();
