// Pages of a list of unknown length, and what is said where one could not be read.

import { html } from "lit-html";
import { count, statement } from "../../parts/format.js";
import { icon } from "../../parts/icons.js";
import { prose } from "../../parts/prose.js";

export const pager = ({ offset, size, number, more, busy, turn }) => html`
  <nav class="pager" aria-label="Pages">
    <button class="button small" ?disabled=${!offset || busy} @click=${() => turn(Math.max(0, offset - size))}>${icon("left")}Earlier</button>
    <span role="status">${number ? `${count(offset + 1)}–${count(offset + number)}` : ""}</span>
    <button class="button small" ?disabled=${!more || busy} @click=${() => turn(offset + size)}>Later${icon("right")}</button>
  </nav>`;

export const unread = (error, again) => html`
  <div class="notice" data-tone="bad" role="group" aria-label="Failure">
    ${icon("warning")}
    <div><h2>${statement(error.message)}</h2><p>${prose(error.suggestion ?? "")}</p>
      <div class="actions"><button class="button small" @click=${again}>${icon("refresh")}Try again</button></div></div>
  </div>`;
