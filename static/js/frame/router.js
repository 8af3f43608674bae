// Which page is shown: real addresses, one page at a time, each loaded when it is first asked for.

import { html, nothing, render } from "lit-html";
import { PAGES } from "../pages.js";
import { reachable, Unreachable } from "../state/api.js";
import { Store } from "../state/store.js";
import { empty } from "../parts/empty.js";
import { skeleton } from "../parts/progress.js";
import { statement } from "../parts/format.js";

/** `{page, params, url}` of the page that is shown. */
export const shown = new Store(null);

/** The name of what is shown, for the title of the window: a page may be more exact than its entry. */
export const heading = new Store("");

const routes = PAGES.map((page) => ({ page, pattern: patternOf(page.path) }));
const scrolls = new Map();
let leaving = new AbortController();

/** Begin with the address of the window. */
export function startRouter() {
  history.scrollRestoration = "manual";
  addEventListener("popstate", () => open({ scroll: scrolls.get(history.state?.visit) ?? 0 }));
  document.addEventListener("click", follow);
  open({ first: true });
}

/** Go to an address of this page: "/runs/cpt_1". */
export function go(address, { replace = false } = {}) {
  keepScroll();
  const state = { visit: crypto.randomUUID?.() ?? String(Math.random()) };
  if (replace) history.replaceState(state, "", address);
  else history.pushState(state, "", address);
  open({});
}

/** Change what stands behind the question mark without opening the page anew. */
export function setQuery(values) {
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === "") url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  history.replaceState(history.state, "", url);
}

/** The page of an address, and the values in it; null where there is none. */
export function match(pathname) {
  for (const { page, pattern } of routes) {
    const found = pathname.match(pattern);
    if (found) return { page, params: Object.fromEntries(names(page.path).map((n, i) => [n, decoded(found[i + 1])])) };
  }
  return null;
}

const outlet = () => document.getElementById("page");
const scroller = () => document.getElementById("main");

async function open({ first = false, scroll = 0 }) {
  leaving.abort();
  // One that is open belongs to the page that is left, as by the browser's own way back.
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  leaving = new AbortController();
  const { signal } = leaving, failing = new AbortController();
  const ends = AbortSignal.any([signal, failing.signal]);
  const url = new URL(location.href);
  const found = match(url.pathname);
  const element = document.createElement("div");
  element.className = "page";
  heading.set(found?.page.name ?? "Not found");
  shown.set({ page: found?.page ?? null, params: found?.params ?? {}, url });
  const show = () => {
    if (signal.aborted) return;
    // A page that took long has its heading only now.
    if (element.isConnected) return element === document.activeElement && focusHeading(element, signal);
    outlet().replaceChildren(element);
    scroller().scrollTop = scroll;
    if (!first) focusHeading(element, signal);
  };
  // Most pages come at once; nothing flickers for those.
  const late = setTimeout(() => {
    render(skeleton(6), element);
    show();
  }, 150);
  try {
    if (found) {
      const { open: fill } = await loaded(found.page);
      if (signal.aborted) return;
      render(nothing, element);
      await fill({ element, signal: ends, params: found.params, query: url.searchParams, title: (t) => ends.aborted || heading.set(t) });
    } else render(notFound(url.pathname), element);
  } catch (error) {
    if (signal.aborted) return;
    if (!error.expected) console.error(error);
    // What the page watches already would be drawn over it.
    failing.abort();
    render(failed(error, found?.page), element);
    if (error instanceof Unreachable) reachable.subscribe((yes) => yes && open({ scroll }), signal);
  } finally {
    clearTimeout(late);
    show();
  }
}

/** A page's module. One that was built anew has another name, which only a reload tells. */
async function loaded(page) {
  try {
    return await page.load();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    const told = reachable.value === false
      ? new Unreachable()
      : Object.assign(new Error("This page has changed meanwhile"), { suggestion: "Reload it to go on.", expected: true });
    throw told;
  }
}

/** Keyboards and screen readers go on where the new page begins. */
function focusHeading(element, signal) {
  const target = element.querySelector("h1") ?? element;
  target.tabIndex = -1;
  target.focus({ preventScroll: true });
  scroller().addEventListener("scroll", keepScroll, { signal, passive: true });
}

function keepScroll() {
  if (history.state?.visit) scrolls.set(history.state.visit, scroller().scrollTop);
}

/** A click on a link to one of our pages. */
function follow(event) {
  const link = event.target.closest?.("a[href]");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
  if (link.target || link.hasAttribute("download") || link.origin !== location.origin || !match(link.pathname)) return;
  event.preventDefault();
  // Within the page: the address stays as it is.
  if (link.getAttribute("href").startsWith("#")) return document.getElementById(link.hash.slice(1))?.focus();
  go(link.pathname + link.search);
}

const names = (path) => [...path.matchAll(/:(\w+)/g)].map(([, name]) => name);
function patternOf(path) {
  return new RegExp(`^${path.replace(/:\w+/g, "([^/]+)")}/?$`);
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const notFound = (path) => empty({
  level: 1,
  icon: "search",
  title: "There is no such page",
  text: `Nothing is at ${path}.`,
  actions: html`<a class="button primary" href="/">Go to the start</a>`,
});

/** Where only this is missing, back to the list that it should be in. */
function failed(error, page) {
  const list = error.status === 404 && PAGES.find(({ path }) => path === page?.within);
  const advice = error.suggestion || "The page could not be shown. Reload it; if that does not help, please report it.";
  return empty({
    level: 1,
    icon: list ? "search" : "warning",
    title: statement(error.message).replace(/\.$/, ""),
    text: list ? "It was deleted, or the address is not right." : advice,
    actions: list
      ? html`<a class="button primary" href=${list.path}>Go to ${list.name.toLowerCase()}</a>`
      : html`<button class="button primary" @click=${() => location.reload()}>Reload</button>
        <a class="button" href="/">Go to the start</a>`,
  });
}
