// The keyboard: single keys and sequences such as `g r`, and the dialog that lists them. Keys typed into a field are
// the field's.

import { html } from "lit-html";
import { openDialog } from "../parts/dialog.js";
import { addCommand } from "./commands.js";

const PAUSE = 900;
const bindings = new Map();
let typed = [];
let forget = null;

export const MODIFIER = /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘" : "Ctrl";

export function startKeys() {
  addEventListener("keydown", press);
  bind("?", { title: "Show all keys", group: "General", run: showKeys });
  addCommand({ title: "Keyboard shortcuts", icon: "keyboard", group: "Help", keys: "?", run: showKeys });
}

/**
 * Bind `keys` until `signal` is aborted: one key ("/"), a sequence ("g r") or "mod+k". The group is a heading in the
 * list of keys.
 */
export function bind(keys, { title, group = "This page", run }, signal) {
  const binding = { keys, title, group, run };
  bindings.set(keys, binding);
  signal?.addEventListener("abort", () => bindings.get(keys) === binding && bindings.delete(keys), { once: true });
}

/** Keys as a person reads them: `g` then `r`. */
export const keycaps = (keys) => keys.split(" ").map((part) => html`<kbd>${caption(part)}</kbd>`);

const caption = (part) => part.replace("mod+", MODIFIER === "⌘" ? "⌘" : "Ctrl ").replace(/(^| )k$/, "$1K");

function press(event) {
  if (event.defaultPrevented || event.isComposing || event.altKey) return;
  const mod = event.ctrlKey || event.metaKey;
  if (mod) return run(`mod+${event.key.toLowerCase()}`, event);
  if (isField(event.target) || document.querySelector("dialog[open]") || event.key.length > 1) return;
  clearTimeout(forget);
  typed = [...typed.slice(-1), event.key];
  forget = setTimeout(() => (typed = []), PAUSE);
  if (run(typed.join(" "), event) || run(event.key, event)) typed = [];
}

function run(keys, event) {
  const binding = bindings.get(keys);
  if (!binding) return false;
  event.preventDefault();
  binding.run(event);
  return true;
}

const isField = (target) => target.closest?.("input, textarea, select, [contenteditable]") !== null;

function showKeys() {
  const groups = Map.groupBy
    ? Map.groupBy(bindings.values(), ({ group }) => group)
    : [...bindings.values()].reduce((all, b) => all.set(b.group, [...(all.get(b.group) ?? []), b]), new Map());
  openDialog({
    title: "Keyboard",
    wide: true,
    body: () => html`<div class="keymap">${[...groups].map(([group, all]) => html`
      <section>
        <h3>${group}</h3>
        <dl>${all.map(({ keys, title }) => html`<div><dt>${title}</dt><dd>${keycaps(keys)}</dd></div>`)}</dl>
      </section>`)}
    </div>`,
  });
}
