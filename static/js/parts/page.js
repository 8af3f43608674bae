// The head of a page, and the cards it consists of.

import { html, nothing } from "lit-html";

/** Title, a line of explanation, and what can be done; the title gets the focus when the page is opened. */
export const pageHead = ({ title, lead = nothing, actions = nothing, above = nothing }) => html`
  <header class="page-head">
    <div>
      ${above === nothing ? nothing : html`<p class="page-above">${above}</p>`}
      <h1>${title}</h1>
      ${lead === nothing ? nothing : html`<p class="lead">${lead}</p>`}
    </div>
    ${actions === nothing ? nothing : html`<div class="actions">${actions}</div>`}
  </header>`;

/** A card with a heading. */
export const card = ({ title, note = nothing, actions = nothing, body, kind = "" }) => html`
  <section class="card ${kind}">
    <header class="card-head">
      <h2>${title}${note === nothing ? nothing : html` <small>${note}</small>`}</h2>
      ${actions === nothing ? nothing : html`<div class="actions">${actions}</div>`}
    </header>
    ${body}
  </section>`;

/** Figures with their names: [name, value, hint?] each. */
export const figures = (list) => html`
  <dl class="figures">${list.map(([name, value, hint]) => html`
    <div title=${hint ?? nothing}><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>`;

/** A state: a word after a dot, so that colour is not all there is. */
export const badge = (word, tone = "quiet", hint = nothing) =>
  html`<span class="badge" data-tone=${tone} title=${hint}>${word}</span>`;
