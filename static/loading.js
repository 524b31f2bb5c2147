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

  // Polling: the same answer changes nothing, and nothing changes under the pointer or the focus.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const poll = event.detail.requestConfig.elt;
    if (!poll.hasAttribute("data-poll") || event.detail.isError) return;
    const answer = event.detail.xhr.responseText;
    const isTouched = poll.querySelector("a:hover, button:hover, [data-tip]:hover, a:focus, button:focus, [data-tip]:focus");
    if (poll.dataset.seen === digest(answer) || isTouched) event.detail.shouldSwap = false;
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
