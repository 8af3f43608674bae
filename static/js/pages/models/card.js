// The card of a model: text that somebody else has written, shown like the answers of a model.

import { html } from "lit-html";
import { skeleton } from "../../parts/progress.js";
import { get } from "../../state/api.js";

/** The card at an address as elements; null where there is none. */
export async function cardOf(address, signal) {
  try {
    const [{ card }, { markdown }] = await Promise.all([get(address, { signal }), import("../../parts/markdown.js")]);
    return card.trim() ? markdown(card) : null;
  } catch (error) {
    if (["PATH_NOT_FOUND", "MODEL_NOT_FOUND"].includes(error.code)) return null;
    throw error;
  }
}

/** `text` is undefined while it is read, null where there is none. */
export function shownCard(text, none) {
  if (text === undefined) return skeleton(6);
  return text === null ? html`<p class="quiet">${none}</p>` : text;
}
