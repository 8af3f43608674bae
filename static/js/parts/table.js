// Tables: aligned columns, rows that lead somewhere, sorting by a click on the head, arrow keys along the rows.

import { html, nothing } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import { icon } from "./icons.js";

/**
 * `columns`: `{key, label, cell(row), kind: "words" | "number" | "tight", wide, sort(row), hint}`; a column with `wide`
 * is left out on narrow screens. `key(row)` names a row; `href(row)` is where it leads (its first cell is the link);
 * `sorting` comes from `sorter`; `mark(row)` gives a row a class.
 */
export const table = ({ label, columns, rows, key, href = null, sorting = null, mark = () => "", chosen = null }) => html`
  <div class="table-scroll" role="region" aria-label=${label} tabindex="0">
    <table class="table" aria-label=${label}>
      <thead><tr>${columns.map((column) => head(column, sorting))}</tr></thead>
      <tbody @keydown=${alongLinks}>
        ${repeat(sorting ? sorting.sorted(rows, columns) : rows, key, (row) => html`
          <tr class="${href ? "leads" : ""} ${mark(row) ?? ""}" @click=${href ? open : null}
            aria-current=${chosen !== null && key(row) === chosen ? "true" : nothing}>
            ${columns.map((column, place) => cell(column, row, place === 0 ? href : null))}
          </tr>`)}
      </tbody>
    </table>
  </div>`;

function head(column, sorting) {
  const sorted = sorting?.by === column.key ? (sorting.down ? "descending" : "ascending") : nothing;
  const words = column.sort && sorting
    ? html`<button @click=${() => sorting.choose(column.key)}>${column.label}${
      sorted === nothing ? nothing : icon(sorting.down ? "down" : "up")}</button>`
    : column.label;
  return html`<th scope="col" class=${style(column)} aria-sort=${sorted} title=${column.hint ?? nothing}>${words}</th>`;
}

const cell = (column, row, href) => href
  ? html`<th scope="row" class=${style(column)}><a href=${href(row)}>${column.cell(row)}</a></th>`
  : html`<td class=${style(column)}>${column.cell(row)}</td>`;

const style = ({ kind = "words", wide = false }) => `${kind} ${wide ? "wide" : ""}`;

/** A click anywhere in a row that leads somewhere is one on its link, unless text was marked or it has a button. */
function open(event) {
  if (event.target.closest("a, button, input, label, summary") || getSelection().type === "Range") return;
  event.currentTarget.querySelector("a").click();
}

function alongLinks(event) {
  const links = [...event.currentTarget.querySelectorAll("th a")], here = links.indexOf(document.activeElement);
  const target = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: links.length - 1 }[event.key];
  if (here < 0 || target === undefined || !links[target]) return;
  event.preventDefault();
  links[target].focus();
}

/** By which column a table is sorted; `draw` is called when that changes. */
export function sorter({ by = null, down = false, draw }) {
  const sorting = { by, down };
  sorting.choose = (key) => {
    [sorting.by, sorting.down] = [key, sorting.by === key ? !sorting.down : false];
    draw();
  };
  sorting.sorted = (rows, columns) => {
    const of = columns.find(({ key }) => key === sorting.by)?.sort;
    if (!of) return rows;
    const sign = sorting.down ? -1 : 1;
    return [...rows].sort((a, b) => sign * compare(of(a), of(b)) || 0);
  };
  return sorting;
}

/** What is missing comes last, whatever the direction would say of numbers. */
function compare(a, b) {
  if (a === null || a === undefined) return b === null || b === undefined ? 0 : 1;
  if (b === null || b === undefined) return -1;
  return typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
}
