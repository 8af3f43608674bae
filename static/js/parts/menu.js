// A button that opens a short list of things to do.

import { html } from "lit-html";
import { icon } from "./icons.js";

let number = 0;
const names = new WeakMap();

/** `items`: `{label, icon, run(event), tone, disabled}`, falsy ones are left out. One array, one menu. */
export function menu({ label, items, button = icon("more"), kind = "icon-button" }) {
  if (!names.has(items)) names.set(items, `menu-${(number += 1)}`);
  const id = names.get(items);
  return html`
    <span class="menu">
      <button class=${kind} aria-label=${label} aria-haspopup="menu" popovertarget=${id}>${button}</button>
      <span class="menu-list" id=${id} popover role="menu" aria-label=${label} @toggle=${place} @keydown=${along}>
        ${items.filter(Boolean).map((item) => html`
          <button role="menuitem" data-tone=${item.tone ?? ""} ?disabled=${item.disabled} @click=${(event) => take(event, item)}>
            ${icon(item.icon)}<span>${item.label}</span>
          </button>`)}
      </span>
    </span>`;
}

function place(event) {
  if (event.newState !== "open") return;
  const list = event.currentTarget;
  const { right, bottom, top } = list.previousElementSibling.getBoundingClientRect();
  const { width, height } = list.getBoundingClientRect();
  const below = bottom + 4 + height < innerHeight;
  list.style.setProperty("left", `${Math.max(8, right - width)}px`);
  list.style.setProperty("top", `${below ? bottom + 4 : top - 4 - height}px`);
  list.querySelector("button:not(:disabled)")?.focus();
}

function along(event) {
  const items = [...event.currentTarget.querySelectorAll("button:not(:disabled)")];
  const here = items.indexOf(document.activeElement);
  const target = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: items.length - 1 }[event.key];
  if (target === undefined) return;
  event.preventDefault();
  items[(target + items.length) % items.length].focus();
}

function take(event, item) {
  event.currentTarget.closest("[popover]").hidePopover();
  item.run(event);
}
