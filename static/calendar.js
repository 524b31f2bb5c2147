// Calendars: FullCalendar in every [data-calendar], filled by one request for what it shows.
// Filters, view and date live in the page's address, so that a link shows the same. Times are wall
// clock in the user's zone, which need not be the browser's: to FullCalendar they are all UTC.
(() => {
  const VIEWS = {
    month: "dayGridMonth", week: "timeGridWeek", day: "timeGridDay", list: "listWeeks", agenda: "listDay",
  };
  // On a day with more entries than are drawn, all but the first are one line, “+67 more”, that
  // leads to the day's list: two thousand entries at once would take seconds to draw.
  const DRAWN = { dayGridMonth: 12, timeGridWeek: 40, listWeeks: 25 };
  const LEFT = { dayGridMonth: 3, timeGridWeek: 40, listWeeks: 25 };
  const narrow = matchMedia("(max-width: 575.98px)");
  const KINDS = { "to-do": "To-do", appointment: "Appointment", email: "Email" };
  const EARLY = "07:30:00"; // where the hours of a day begin to be seen
  const heightOf = (type) => (type.startsWith("timeGrid") ? 680 : "auto");
  const clock = { hour: "2-digit", minute: "2-digit", hour12: false };

  // --- the library: fetched by the first calendar that is shown ---------------------------------
  let library = null;
  function load(url) {
    library ||= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = url;
      script.onload = resolve;
      script.onerror = () => { library = null; reject(new Error(url)); };
      document.head.append(script);
    });
    return library;
  }

  // --- one calendar -----------------------------------------------------------------------------
  function start(root) {
    const part = (name) => root.querySelector(`[data-${name}]`);
    const filters = part("filters");
    const boxes = [...filters.querySelectorAll("[name=kind]")];
    const reps = filters.querySelector("[name=rep]");
    let isFirst = true;
    let focused = "";

    // What the address says; what it does not say is as usual.
    const address = new URLSearchParams(location.search);
    let view = VIEWS[address.get("view")] ? address.get("view") : narrow.matches ? "list" : "month";
    if (address.has("kind")) {
      const chosen = address.getAll("kind");
      for (const box of boxes) box.checked = chosen.includes(box.value);
    }
    if (reps) {
      reps.value = address.get("rep") || root.dataset.usualRep || "all";
      if (!reps.value) reps.value = root.dataset.usualRep || "all";
    }

    // On a phone a grid of days cannot be read.
    const isGrid = () => view === "month" || view === "week";
    const shownView = () => VIEWS[narrow.matches && isGrid() ? "list" : view];

    function remember(calendar) {
      if (history.state?.dialog) return; // the address is a dialog's for now
      const url = new URL(location.href);
      const set = (name, values) => {
        url.searchParams.delete(name);
        for (const value of values) url.searchParams.append(name, value);
      };
      const isUsual = view === "month" && sameSpan(calendar, calendar.view, now(root));
      set("view", view === "month" ? [] : [view]);
      set("date", isUsual ? [] : [day(calendar.getDate())]);
      set("kind", kinds());
      set("rep", reps && reps.value !== (root.dataset.usualRep || "all") ? [reps.value] : []);
      if (url.href !== location.href) history.replaceState(history.state, "", url);
    }

    function kinds() {
      const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
      if (chosen.length === boxes.length) return [];
      return chosen.length ? chosen : ["none"];
    }

    async function fetchEntries({ startStr, endStr }) {
      const url = new URL(root.dataset.entries, location.href);
      url.searchParams.set("start", startStr.slice(0, 10));
      url.searchParams.set("end", endStr.slice(0, 10));
      for (const kind of kinds()) url.searchParams.append("kind", kind);
      const rep = reps ? reps.value : root.dataset.usualRep;
      if (rep && rep !== "all") url.searchParams.set("rep", rep);
      const response = await fetch(url, { headers: { Accept: "application/json" } });
      if (response.redirected) location.reload(); // signed out meanwhile
      if (!response.ok) throw new Error(String(response.status));
      const answer = await response.json();
      tell(answer);
      return thinned(answer.entries, shownView()).map(asEvent);
    }

    // --- what is said about it ------------------------------------------------------------------
    function tell({ entries, isCut }) {
      const words = entries.length === 1 ? "1 entry" : `${entries.length.toLocaleString("en")} entries`;
      part("count").textContent = isCut
        ? `Only the first ${words} are shown. Choose one person or a shorter view.` : words;
      part("note").replaceChildren(...(entries.length ? [] : [clone(root, "data-empty")]));
      settle();
    }

    function fail() {
      const box = document.getElementById("template-load-error").content.cloneNode(true);
      box.querySelector("[data-sentence]").textContent = "The calendar could not be loaded. Nothing of yours is lost.";
      box.querySelector("[data-retry]").addEventListener("click", () => calendar.refetchEvents());
      part("count").textContent = "";
      part("note").replaceChildren(box);
      settle();
    }

    function settle() {
      if (!isFirst) return;
      isFirst = false;
      part("skeleton").remove();
      root.classList.add("is-ready");
      calendar.updateSize();
      calendar.scrollToTime(EARLY);
    }

    // --- moving an entry ------------------------------------------------------------------------
    function move(info, values) {
      // The answer says what was done, with Undo, and lets every calendar and list ask again.
      const settled = (event) => { if (!event.detail.successful) info.revert(); };
      root.addEventListener("htmx:afterRequest", settled, { once: true });
      htmx.ajax("POST", `${info.event.extendedProps.url}move/`, { source: root, swap: "none", values });
    }

    const timesOf = (event) => ({
      start: event.startStr.slice(0, 19), all_day: event.allDay ? "on" : "",
    });

    const calendar = new FullCalendar.Calendar(part("grid"), {
      initialView: shownView(),
      initialDate: address.get("date") || undefined,
      timeZone: "UTC",
      now: () => now(root),
      locale: { code: "en-GB", week: { dow: 1, doy: 4 }, allDayText: "all day" },
      headerToolbar: false,
      height: heightOf(shownView()),
      eventTimeFormat: clock,
      slotLabelFormat: clock,
      nowIndicator: true,
      navLinks: true,
      navLinkDayClick: (date) => show("day", date),
      lazyFetching: false, // views are thinned by different measures
      dayMaxEvents: 4,
      moreLinkText: (count) => `+${count} more`,
      moreLinkDidMount: ({ el }) => el.setAttribute("role", "button"),
      // A cell is named by what is in it, not by its date alone.
      dayCellDidMount: ({ el }) => el.removeAttribute("aria-labelledby"),
      dayPopoverFormat: { weekday: "long", day: "numeric", month: "long" },
      eventInteractive: false,
      eventDisplay: "block",
      defaultTimedEventDuration: "00:30",
      views: {
        dayGrid: { dayHeaderFormat: { weekday: "short" } },
        timeGrid: {
          scrollTime: EARLY, slotEventOverlap: false, displayEventEnd: false, eventShortHeight: 40,
          dayHeaderFormat: { weekday: "short", day: "numeric", month: "short" }, eventMaxStack: 3,
        },
        listWeeks: { type: "list", duration: { weeks: 4 }, dateAlignment: "week" },
        list: {
          eventContent: listed, noEventsContent: "",
          listDayFormat: { weekday: "long", day: "numeric", month: "long" }, listDaySideFormat: false,
        },
      },
      events: fetchEntries,
      eventSourceFailure: fail,
      loading: (isLoading) => {
        root.setAttribute("aria-busy", String(isLoading));
        if (isLoading) focused = root.contains(document.activeElement) ? document.activeElement.id : "";
        else if (focused) requestAnimationFrame(refocus);
      },
      eventClassNames: ({ event }) => classes(event.extendedProps),
      eventDidMount: mounted,
      eventDrop: (info) => move(info, timesOf(info.event)),
      eventResize: (info) => move(info, { ...timesOf(info.event), end: info.event.endStr.slice(0, 19) }),
      dateClick: ({ dateStr, allDay }) => {
        const [date, time] = dateStr.slice(0, 16).split("T");
        const url = new URL(root.dataset.new, location.href);
        url.searchParams.set("date", date);
        if (!allDay) url.searchParams.set("time", time);
        crm.openDialog(url.pathname + url.search);
      },
      datesSet: () => {
        part("title").textContent = calendar.view.title;
        for (const button of root.querySelectorAll("[data-view]")) {
          const shown = calendar.view.type === VIEWS.agenda ? VIEWS.list : calendar.view.type;
          button.setAttribute("aria-pressed", String(VIEWS[button.dataset.view] === shown));
        }
        remember(calendar);
      },
    });

    // The entries are drawn anew after a change: who had the focus on one keeps it.
    function refocus() {
      if (document.querySelector("dialog[open]")) return;
      if (document.activeElement === document.body) document.getElementById(focused)?.focus();
    }

    function show(name, date) {
      view = name;
      turn(date);
    }

    function turn(date) {
      calendar.setOption("height", heightOf(shownView()));
      calendar.changeView(shownView(), date);
    }

    root.addEventListener("click", (event) => {
      const button = event.target.closest("[data-move], [data-view]");
      if (button?.dataset.move) calendar[button.dataset.move]();
      if (button?.dataset.view) show(button.dataset.view);
      const more = event.target.closest("a[data-more]");
      if (more && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
        event.preventDefault();
        show("agenda", more.dataset.more);
        part("title").focus({ preventScroll: true });
      }
    });
    filters.addEventListener("submit", (event) => event.preventDefault());
    filters.addEventListener("change", () => {
      remember(calendar);
      calendar.refetchEvents();
    });
    narrow.addEventListener("change", () => turn());
    for (const name of ["actions-changed", "emails-changed"]) {
      document.addEventListener(name, () => { if (root.isConnected) calendar.refetchEvents(); });
    }
    root.closest("details")?.addEventListener("toggle", () => calendar.updateSize());
    if ("isPage" in root.dataset) listenToKeys(calendar);
    calendar.render();
  }

  // --- entries ------------------------------------------------------------------------------------
  function asEvent(entry) {
    const { id, title, start, end, allDay, editable, ...rest } = entry;
    return { id, title, start, end, allDay: Boolean(allDay), editable: Boolean(editable), extendedProps: { ...rest, key: id } };
  }

  function thinned(entries, view) {
    const most = DRAWN[view];
    const byDay = new Map();
    for (const entry of entries) {
      const day = entry.start.slice(0, 10);
      if (!byDay.has(day)) byDay.set(day, []);
      byDay.get(day).push(entry);
    }
    if (!most || [...byDay.values()].every((day) => day.length <= most)) return entries;
    return [...byDay].flatMap(([day, found]) => {
      const left = found.length - LEFT[view];
      if (found.length <= most) return found;
      const last = { start: `${day}T23:59:00`, end: `${day}T23:59:59` };
      const more = { id: `more-${day}`, title: `+${left} more`, ...last, more: day };
      return [...found.slice(0, LEFT[view]), more];
    });
  }

  function classes({ kind, done, cancelled, overdue, more }) {
    if (more) return ["entry-more"];
    return ["entry", `entry-${kind}`, done && "is-done", cancelled && "is-cancelled", overdue && "is-overdue"].filter(Boolean);
  }

  const states = ({ done, cancelled, overdue }) =>
    [done && "completed", cancelled && "cancelled", overdue && "overdue"].filter(Boolean);

  // A link to its own address (dialogs.js opens it), described by all that colours and icons say.
  function mounted({ event, el, timeText, isStart, view }) {
    if (view.type.startsWith("list")) return;
    const { kind, type, customer, owners, url, more } = event.extendedProps;
    if (more) return leadToDay(el, more);
    el.href = url;
    el.dataset.dialog = "";
    el.draggable = false;
    if (isStart) el.id = domId(event, el);
    const words = [event.title, KINDS[kind], timeText, kind === "to-do" && type, customer, owners, ...states(event.extendedProps)];
    el.title = words.filter(Boolean).join("\n");
  }

  // “+5 more” draws an entry a second time, in a list of its own.
  const domId = (event, el) => (el.closest(".fc-popover") ? "more-" : "entry-") + event.extendedProps.key;

  function leadToDay(el, day) {
    const url = new URL(location.href);
    url.searchParams.set("view", "agenda");
    url.searchParams.set("date", day);
    el.href = url.pathname + url.search;
    el.dataset.more = day;
    return el;
  }

  function listed({ event }) {
    const { kind, type, customer, owners, url, more } = event.extendedProps;
    const link = document.createElement("a");
    if (more) {
      link.textContent = `${event.title} on this day`;
      return { domNodes: [leadToDay(link, more)] };
    }
    link.href = url;
    link.dataset.dialog = "";
    link.className = "entry-link";
    link.id = `entry-${event.extendedProps.key}`;
    link.textContent = event.title;
    const about = document.createElement("span");
    about.className = "entry-about";
    const words = [kind === "appointment" ? "Appointment" : type, customer, owners, ...states(event.extendedProps)];
    about.textContent = words.filter(Boolean).join(" · ");
    return { domNodes: [link, about] };
  }

  // --- days and keys --------------------------------------------------------------------------------
  const day = (date) => date.toISOString().slice(0, 10);

  function now(root) {
    const local = new Date().toLocaleString("sv-SE", { timeZone: root.dataset.zone });
    return `${local.replace(" ", "T")}Z`;
  }

  const sameSpan = (calendar, view, moment) =>
    view.currentStart <= new Date(moment) && new Date(moment) < view.currentEnd;

  const clone = (root, name) => root.querySelector(`template[${name}]`).content.cloneNode(true);

  function listenToKeys(calendar) {
    const keys = { t: "today", ArrowLeft: "prev", ArrowRight: "next" };
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
      if (event.target.closest("input, textarea, select, dialog, .dropdown-menu")) return;
      if (document.querySelector("dialog[open]")) return;
      event.preventDefault();
      calendar[keys[event.key]]();
    });
  }

  // --- beginning ------------------------------------------------------------------------------------
  async function begin(root) {
    if (root.dataset.begun) return;
    root.dataset.begun = "yes";
    try {
      await load(root.dataset.library);
    } catch {
      const box = document.getElementById("template-load-error").content.cloneNode(true);
      box.querySelector("[data-sentence]").textContent = "The calendar could not be loaded. Check your connection.";
      box.querySelector("[data-retry]").addEventListener("click", () => {
        root.querySelector("[data-note]").replaceChildren();
        delete root.dataset.begun;
        begin(root);
      });
      root.querySelector("[data-note]").replaceChildren(box);
      return;
    }
    start(root);
  }

  const beginAll = (place) => { for (const root of place.querySelectorAll("[data-calendar]")) begin(root); };
  beginAll(document);
  document.addEventListener("htmx:load", (event) => beginAll(event.detail.elt.parentElement || document));

  // --- the form of a to-do --------------------------------------------------------------------------
  // Sync is as usual for the chosen type, until somebody has set it.
  document.addEventListener("change", (event) => {
    const form = event.target.closest?.("form[data-sync-follows-type]");
    if (!form) return;
    if (event.target.name === "sync") delete form.dataset.syncFollowsType;
    const usual = event.target.name === "type" && event.target.selectedOptions[0]?.dataset.sync;
    if (usual) form.elements.sync.checked = usual === "on";
  });
})();
