// What a click does when it takes a while: the button is busy meanwhile, and what goes wrong is said.

import { toast, toastError } from "../frame/toasts.js";

/**
 * A handler for `run`, which may be async. The element is busy until it is done, a second click does nothing. `done`
 * is said on success, `failed` before the reason of a failure.
 */
export function action(run, { done = "", failed = "" } = {}) {
  return async (event) => {
    event?.preventDefault?.();
    const element = event?.currentTarget ?? null;
    if (element?.ariaBusy === "true") return;
    if (element) element.ariaBusy = "true";
    const beside = neighbours(element);
    try {
      await run(event);
      if (done) toast(done);
    } catch (error) {
      toastError(error, failed);
    } finally {
      if (element) element.ariaBusy = null;
      // What it took away is gone with the next frame.
      requestAnimationFrame(() => requestAnimationFrame(() => element && !element.isConnected && focusOne(beside)));
    }
  };
}

/** The rows after and before the one that a button is in. */
function neighbours(element) {
  const row = element?.closest("tr") ?? element?.closest("li");
  return row ? [row.nextElementSibling, row.previousElementSibling] : [];
}

/** Whoever took a row away by keyboard goes on beside it, not at the beginning of the page. */
function focusOne(rows) {
  if (document.activeElement !== document.body) return;
  const row = rows.find((one) => one?.isConnected);
  (row?.querySelector("a, button:not(:disabled)") ?? document.querySelector("#page h1"))?.focus();
}

/** Copy text, and say so. */
export const copying = (text, what = "Copied") => action(async () => {
  await navigator.clipboard.writeText(typeof text === "function" ? text() : text);
  toast(what, { tone: "quiet" });
}, { failed: "Nothing was copied" });

/** Save a Blob or a text under a name. */
export function save(content, name, type = "text/plain") {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
