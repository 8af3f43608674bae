// How long rows and documents are in the base model's tokens, and how many are longer than a sequence.

import { html } from "lit-html";
import { count, plural } from "../../parts/format.js";
import { card } from "../../parts/page.js";
import { vars } from "../../parts/vars.js";

const NAMES = { examples: "examples", documents: "documents" };

export function lengths({ trained_on: found, max_seq_length: limit }) {
  const kinds = Object.keys(NAMES).filter((kind) => found?.[kind]?.count);
  return kinds.map((kind) => card({
    title: `Lengths of ${NAMES[kind]}`,
    note: `in tokens; ${count(found[kind].shortest)} to ${count(found[kind].longest)}, half of them up to ${count(found[kind].median)}`,
    body: html`${histogram(found[kind], kind === "examples" ? limit : Infinity)}<p class="quiet">${verdict(kind, found[kind], limit)}</p>`,
  }));
}

function histogram({ bins }, limit) {
  const most = Math.max(...bins.map(([, number]) => number));
  return html`<ol class="histogram">${bins.map(([upper, number]) => bin({ from: Math.floor(upper / 2) + 1, upper, number, most, limit }))}</ol>`;
}

/** Lengths are counted by powers of two: the limit may lie within one. Documents have none, they are trained on in chunks. */
function bin({ from, upper, number, most, limit }) {
  const long = from > limit ? "longer" : upper > limit ? "partly" : "";
  return html`
    <li class=${long}>
      <span class="histogram-count">${count(number)}</span>
      <i ?hidden=${!number} ${vars({ share: number / most })}></i>
      <span>${count(from)}–${count(upper)}</span>
      ${long ? html`<small>${long === "longer" ? "over the limit" : "some over"}</small>` : html`<small></small>`}
    </li>`;
}

function verdict(kind, { cut, learned, tokens }, limit) {
  const share = tokens ? ` ${Math.round((100 * learned) / tokens)} % of the tokens are learned.` : "";
  if (kind === "documents") return html`Documents are trained on in chunks of at most ${count(limit)} tokens; nothing is lost.`;
  if (!cut) return html`All fit into sequences of ${count(limit)} tokens.${share}`;
  return html`<b>${plural(cut, "row is", "rows are")} cut at ${count(limit)} tokens</b>: what stands behind that is not learned. Raise
    the sequence length, or leave them out.${share}`;
}
