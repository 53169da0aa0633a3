// @ts-check
// What a script adds to pages that are whole without it: they stay current, are quick to
// the keyboard, and charts can be read point by point. It never makes HTML of a text: a
// page that is to be renewed is asked for again, and its parts are taken over.

const $ = (/** @type {string} */ selector, /** @type {ParentNode} */ root = document) => /** @type {HTMLElement | null} */ (root.querySelector(selector));
const $$ = (/** @type {string} */ selector, /** @type {ParentNode} */ root = document) => /** @type {HTMLElement[]} */ ([...root.querySelectorAll(selector)]);

/* Live. One stream for each visible tab says that something happened; at most once in a
   while the page is asked for again. */

const EVERY = 2000;
const liveButton = $("#live");
const regions = () => $$("[data-live]").filter((e) => e.id);
let paused = false;
let missed = 0;
let stale = false;
let due = 0;
let timer = 0;
/** @type {EventSource | null} */
let stream = null;
let retry = 1000;

function live() {
  if (!liveButton?.dataset.stream || regions().length === 0) return;
  liveButton.hidden = false;
  liveButton.addEventListener("click", () => pause(!paused));
  document.addEventListener("visibilitychange", follow);
  addEventListener("pagehide", close);
  addEventListener("pageshow", follow);
  follow();
}

function follow() {
  if (document.visibilityState !== "visible") return close();
  if (stream) return;
  // A browser sends the id of the last event by itself when it connects again.
  stream = new EventSource(liveButton?.dataset.stream ?? "");
  for (const kind of ["call", "error", "event", "span", "reading", "more", "reset"]) stream.addEventListener(kind, (e) => {
    if (!(e instanceof MessageEvent)) return;
    if (kind === "call" && location.pathname === "/errors" && JSON.parse(e.data).status === "ok") return;
    happened(kind === "reading" || kind === "reset");
  });
  stream.onopen = () => {
    retry = 1000;
    lost(false);
    happened(true); // whatever was missed in between
  };
  stream.onerror = (e) => {
    if (e instanceof MessageEvent) return; // an event called so, which says that an agent's error arrived
    lost(true);
    if (stream && stream.readyState === EventSource.CLOSED) {
      // The server said no, and the browser will not ask again.
      close();
      clearTimeout(timer);
      timer = window.setTimeout(() => { happened(true); follow(); }, retry);
      retry = Math.min(retry * 2, 30000);
    }
  };
}

function close() {
  stream?.close();
  stream = null;
}

function lost(/** @type {boolean} */ is) { liveButton?.classList.toggle("lost", is); }

function pause(/** @type {boolean} */ on) {
  paused = on;
  liveButton?.setAttribute("aria-pressed", String(!on));
  if (!on && stale) renew();
  say();
}

function say() {
  const word = liveButton && $(".word", liveButton);
  if (word) word.textContent = !paused ? "Live" : missed ? `Paused, ${missed} new` : "Paused";
}

// happened has the page renewed soon. What is quiet is no news to a reader.
function happened(quiet = false) {
  if (paused) {
    stale = true;
    if (!quiet) missed++;
    say();
    return;
  }
  const wait = due - Date.now();
  clearTimeout(timer);
  timer = window.setTimeout(renew, Math.max(wait, 50));
}

async function renew() {
  if (document.visibilityState !== "visible" || paused) return;
  due = Date.now() + EVERY;
  missed = 0;
  stale = false;
  let text = "";
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "error" });
    if (!answer.ok) return lost(true);
    text = await answer.text();
  } catch {
    return lost(true);
  }
  if (paused) return;
  // A document made like this runs no script and loads nothing.
  const page = new DOMParser().parseFromString(text, "text/html");
  for (const old of regions()) {
    const fresh = page.getElementById(old.id);
    if (!fresh) {
      // What waited for the first call has become another page.
      if (old.id === "empty") location.reload();
      continue;
    }
    if (old.innerHTML === fresh.innerHTML || busy(old)) continue;
    take(old, fresh);
  }
}

// busy tells whether somebody uses a part that must not move under their hands.
function busy(/** @type {HTMLElement} */ region) {
  const selection = getSelection();
  return region.matches(":hover") && region.querySelector(".readout:not([hidden])") !== null ||
    selection !== null && !selection.isCollapsed && region.contains(selection.anchorNode) || region.querySelector(":scope form :focus") !== null;
}

function take(/** @type {HTMLElement} */ old, /** @type {HTMLElement} */ fresh) {
  const focused = document.activeElement instanceof HTMLAnchorElement && old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  const open = $$("details[open]", old).map((d) => $$("details", old).indexOf(d));
  const known = new Set($$("a.row", old).map((a) => a.getAttribute("href")));
  const copy = document.importNode(fresh, true);
  for (const i of open) $$("details", copy)[i]?.setAttribute("open", "");
  for (const a of $$("tr a.row", copy)) if (!known.has(a.getAttribute("href"))) a.closest("tr")?.classList.add("fresh");
  old.replaceWith(copy);
  charts(copy);
  if (focused !== null) $$("a", copy).find((a) => a.getAttribute("href") === focused)?.focus({ preventScroll: true });
}

/* Theme. */

function theme() {
  const button = $("#theme");
  if (!button) return;
  button.hidden = false;
  button.addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* it holds for this page */ }
  });
}

/* Charts: the values at the pointer, or at the arrow keys. They stand in the table. */

function charts(/** @type {ParentNode} */ root) {
  for (const chart of $$("figure.chart", root)) {
    const plane = $(".plane", chart);
    const rows = $$(".values tbody tr", chart);
    const names = $$(".values thead th", chart).map((th) => th.textContent ?? "");
    if (!plane || rows.length === 0) continue;
    const out = document.createElement("p");
    out.className = "readout";
    out.hidden = true;
    out.setAttribute("aria-live", "polite");
    chart.append(out);
    const cursor = document.createElementNS("http://www.w3.org/2000/svg", "line");
    cursor.setAttribute("class", "cursor");
    cursor.setAttribute("y1", "8");
    cursor.setAttribute("y2", String(plane.clientHeight - 22));
    let at = -1;
    const show = (/** @type {number} */ i) => {
      at = Math.max(0, Math.min(rows.length - 1, i));
      const cells = [...rows[at].children].map((c) => c.textContent ?? "");
      out.textContent = cells[0] + ": " + cells.slice(1).map((v, j) => (names.length > 2 ? names[j + 1] + " " : "") + v).filter((v) => !v.endsWith(" $0") && !v.endsWith(" no data")).join(", ");
      out.hidden = false;
      const share = (at + 0.5) / rows.length;
      out.classList.toggle("left", share > 0.5);
      cursor.setAttribute("x1", share * 100 + "%");
      cursor.setAttribute("x2", share * 100 + "%");
      if (!cursor.isConnected) plane.append(cursor);
    };
    const hide = () => { out.hidden = true; cursor.remove(); at = -1; };
    plane.addEventListener("pointermove", (e) => {
      const box = plane.getBoundingClientRect();
      show(Math.floor((e.clientX - box.left) / box.width * rows.length));
    });
    plane.addEventListener("pointerleave", hide);
    plane.setAttribute("tabindex", "0");
    plane.addEventListener("blur", hide);
    plane.addEventListener("keydown", (e) => {
      const last = rows.length - 1;
      const to = { ArrowLeft: at < 0 ? last : at - 1, ArrowRight: at < 0 ? 0 : at + 1, Home: 0, End: last }[e.key];
      if (to !== undefined) {
        e.preventDefault();
        show(to);
      } else if (e.key === "Enter" && at >= 0) {
        /** @type {HTMLAnchorElement | null} */ (rows[at].querySelector("a"))?.click();
      } else if (e.key === "Escape") hide();
    });
  }
}

/* Keys. None of them changes anything that is stored. */

function step(/** @type {number} */ by) {
  const rows = $$("a.row").filter((a) => a.offsetParent !== null);
  if (rows.length === 0) return;
  const now = rows.findIndex((a) => a === document.activeElement || a.closest("tr")?.contains(document.activeElement));
  const to = now < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.max(0, Math.min(rows.length - 1, now + by));
  rows[to].focus();
  rows[to].closest("tr")?.scrollIntoView({ block: "nearest" });
}

let going = 0;

function key(/** @type {KeyboardEvent} */ e) {
  if (e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented) return;
  const target = /** @type {HTMLElement} */ (e.target);
  if (target.matches("input, textarea, select, [contenteditable]")) {
    if (e.key === "Escape") target.blur();
    return;
  }
  if (going && Date.now() - going < 1500) {
    going = 0;
    const to = $(`.top nav a[data-key="${CSS.escape(e.key)}"]`);
    if (to) { e.preventDefault(); to.click(); }
    return;
  }
  switch (e.key) {
    case "j": step(1); break;
    case "k": step(-1); break;
    case "/": {
      const find = $("[data-find=first]") ?? $("[data-find]");
      if (!(find instanceof HTMLInputElement)) return;
      find.focus();
      find.select();
      break;
    }
    case "[": $("a[rel=prev]")?.click(); break;
    case "]": $("a[rel=next]")?.click(); break;
    case "g": going = Date.now(); break;
    case "p": if (liveButton && !liveButton.hidden) pause(!paused); break;
    case "t": $("#theme")?.click(); break;
    case "?": help(); break;
    default: return;
  }
  e.preventDefault();
}

function help() {
  const dialog = $("#help");
  if (dialog instanceof HTMLDialogElement && !dialog.open) dialog.showModal();
}

/* Copying of a message. */

function copies() {
  if (!navigator.clipboard) return; // a page that is not on localhost and without TLS
  for (const head of $$(".message > header")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      const text = $$("pre", /** @type {HTMLElement} */ (head.parentElement)).map((p) => p.textContent).join("");
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Not allowed";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    head.append(button);
  }
}

// The browser's own zone is offered where one is chosen.
function zones() {
  const list = $("#zones");
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!list || !zone) return;
  const option = document.createElement("option");
  option.value = zone;
  option.textContent = "as in this browser";
  list.append(option);
}

theme();
live();
charts(document);
copies();
zones();
const keys = $("#keys");
if (keys) {
  keys.hidden = false;
  keys.addEventListener("click", help);
}
document.addEventListener("keydown", key);
