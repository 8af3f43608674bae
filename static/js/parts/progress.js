// How far something is: bars, meters, and the shapes that stand in for what is still being read.

import { html, nothing } from "lit-html";

/** A bar; without `value` it only shows that something is going on. `text` stands beside it. */
export const bar = ({ value = null, max = 100, label, text = nothing, tone = "" }) => html`
  <div class="bar" data-tone=${tone}>
    <progress max=${max} .value=${value ?? 0} value=${value ?? nothing} aria-label=${label}></progress>
    ${text === nothing ? nothing : html`<output>${text}</output>`}
  </div>`;

/** A share of a fixed amount, as small as a word: memory, disk, a context. */
export const meter = ({ value, max, label, tone = "" }) => html`
  <progress class="meter" data-tone=${tone} max=${max} value=${Math.min(value, max)} aria-label=${label}></progress>`;

/** Lines of the height that the content will have. */
export const skeleton = (lines = 3) => html`
  <div class="skeleton" role="status" aria-label="Reading">${Array.from({ length: lines }, () => html`<i></i>`)}</div>`;
