// Short messages about what was done or went wrong, and their history. Failures stay until they are closed.

import { html, nothing, render } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import { Store, watch } from "../state/store.js";
import { openDialog } from "../parts/dialog.js";
import { empty } from "../parts/empty.js";
import { statement } from "../parts/format.js";
import { icon } from "../parts/icons.js";
import { prose } from "../parts/prose.js";

const SECONDS = 6;
const KEPT = 100;
const SHOWN = 4;
const ICONS = { good: "check", bad: "warning", quiet: "info" };

/** All messages of this visit, the newest first; and how many were not looked at. */
export const messages = new Store([]);
export const unread = new Store(0);

const visible = new Store([]);
let number = 0;

export function startToasts() {
  const region = document.getElementById("toasts");
  watch([visible], () => {
    render(repeat(visible.value, ({ id }) => id, toastCard), region);
    if (region.matches(":focus-within") && visible.value.length) return;
    region.hidePopover();
    if (visible.value.length) region.showPopover();
  });
  goAlong(region);
}

/** Beside a dialog nothing can be pressed, and nothing is read aloud: the messages are within the one that was opened last. */
function goAlong(region) {
  let opened = [];
  new MutationObserver((changes) => {
    for (const { target } of changes) {
      if (target.localName === "dialog") opened = [...opened.filter((dialog) => dialog !== target), target];
    }
    opened = opened.filter(({ open }) => open);
    const host = opened.at(-1) ?? document.body;
    if (host === region.parentElement) return;
    host.append(region);
    if (visible.value.length) region.showPopover();
  }).observe(document.body, { subtree: true, attributes: true, attributeFilter: ["open"] });
}

/**
 * Say something: `text`, more in `detail`, `tone` good, quiet or bad; `action` `{label, run}` is one thing that can be
 * done about it, such as to undo.
 */
export function toast(text, { tone = "good", detail = "", action = null } = {}) {
  const message = { id: (number += 1), text, tone, detail, action, time: new Date() };
  messages.set([message, ...messages.value].slice(0, KEPT));
  unread.set(unread.value + 1);
  visible.set([...visible.value, message].slice(-SHOWN));
  if (tone !== "bad") setTimeout(() => leave(message), (action ? 2 : 1) * SECONDS * 1000);
}

/** Say that something failed, and what to do about it. `doing` is what was tried: "The model was not loaded". */
export function toastError(error, doing = "") {
  if (error.name === "AbortError") return;
  if (!error.expected) console.error(error);
  const reason = statement(error.message || String(error));
  const detail = [doing ? reason : "", error.suggestion ?? ""].filter(Boolean).join(" ");
  toast(doing || reason, { tone: "bad", detail });
}

function leave(message) {
  const hovered = document.querySelector("#toasts:hover, #toasts:focus-within");
  if (hovered) setTimeout(() => leave(message), 2000);
  else close(message);
}

function close(message) {
  visible.set(visible.value.filter(({ id }) => id !== message.id));
}

const toastCard = (message) => html`
  <div class="toast" data-tone=${message.tone} role=${message.tone === "bad" ? "alert" : "status"}>
    ${icon(ICONS[message.tone])}
    <div class="toast-words"><p>${message.text}</p>${message.detail ? html`<p>${prose(message.detail)}</p>` : nothing}</div>
    ${message.action ? html`<button class="button small" @click=${() => act(message)}>${message.action.label}</button>` : nothing}
    <button class="icon-button" aria-label="Close" @click=${() => close(message)}>${icon("close")}</button>
  </div>`;

function act(message) {
  close(message);
  message.action.run();
}

/** The dialog with all messages of this visit. */
export function showMessages() {
  unread.set(0);
  openDialog({
    title: "Messages",
    wide: true,
    body: () => messages.value.length
      ? html`<ol class="messages">${messages.value.map(messageLine)}</ol>`
      : empty({ icon: "bell", title: "Nothing yet", text: "What you do here and what goes wrong is listed here." }),
  });
}

const messageLine = ({ text, detail, tone, time }) => html`
  <li data-tone=${tone}>
    ${icon(ICONS[tone])}
    <div><p>${text}</p>${detail ? html`<p class="quiet">${prose(detail)}</p>` : nothing}</div>
    <time>${time.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })}</time>
  </li>`;
