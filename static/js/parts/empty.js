// What stands where there is nothing yet, and what to do about it.

import { html, nothing } from "lit-html";
import { icon } from "./icons.js";
import { prose } from "./prose.js";

/** An empty state: `actions` is a template of buttons or links; the first of them is what most people want. `level` is
 * that of its heading: 1 where it is all there is. */
export const empty = ({ icon: name, title, text, actions = nothing, level = 2 }) => html`
  <section class="empty">
    <div class="empty-icon">${icon(name)}</div>
    ${[html`<h1>${title}</h1>`, html`<h2>${title}</h2>`, html`<h3>${title}</h3>`][level - 1]}
    <p>${prose(text)}</p>
    ${actions === nothing ? nothing : html`<div class="actions">${actions}</div>`}
  </section>`;
