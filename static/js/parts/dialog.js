// Dialogs over the page: any content, and asking back. Esc and a click beside one close it; the focus returns.

import { html, nothing, render } from "lit-html";
import { icon } from "./icons.js";

let number = 0;

/**
 * Open a dialog. `body(dialog)` and `actions(dialog)` give templates; `dialog.draw()` draws them again,
 * `dialog.close(value)` ends it. `closed` of what is returned resolves with that value, undefined for Esc.
 */
export function openDialog({ title, body, actions = null, wide = false, tone = "", describe = "" }) {
  const element = document.createElement("dialog");
  const id = `dialog-${(number += 1)}`;
  let answer;
  element.className = wide ? "dialog wide" : "dialog";
  element.setAttribute("aria-labelledby", `${id}-title`);
  if (describe) element.setAttribute("aria-describedby", `${id}-body`);
  if (tone) element.dataset.tone = tone;
  const dialog = {
    element,
    draw: () => render(content(), element),
    close(value) {
      answer = value;
      element.close();
    },
  };
  const content = () => html`
    <header>
      <h2 id="${id}-title">${title}</h2>
      <button class="icon-button" aria-label="Close" @click=${() => dialog.close()}>${icon("close")}</button>
    </header>
    <div class="dialog-body" id="${id}-body">${body(dialog)}</div>
    ${actions ? html`<footer>${actions(dialog)}</footer>` : nothing}`;
  dialog.closed = new Promise((resolve) => {
    element.addEventListener("close", () => {
      element.remove();
      resolve(answer);
    });
  });
  closeBeside(element);
  document.body.append(element);
  dialog.draw();
  element.showModal();
  element.querySelector("[autofocus]")?.focus();
  return dialog;
}

/** Ask back; resolves with whether the answer was yes. The answer that changes nothing has the focus. */
export async function confirm({ title, text, yes, no = "Cancel", tone = "" }) {
  const dialog = openDialog({
    title,
    tone,
    describe: text,
    body: () => html`<p>${text}</p>`,
    actions: ({ close }) => html`
      <button class="button" autofocus @click=${() => close(false)}>${no}</button>
      <button class="button ${tone === "bad" ? "danger" : "primary"}" @click=${() => close(true)}>${yes}</button>`,
  });
  return (await dialog.closed) === true;
}

/** A press and its release beside the dialog; marking a text and letting go outside is not one. */
function closeBeside(element) {
  let pressed = false;
  element.addEventListener("pointerdown", (event) => (pressed = event.target === element));
  element.addEventListener("click", (event) => {
    if (pressed && event.target === element) element.close();
  });
}
