// Rows as the base model is trained on them: token by token, which of them are learned, and where a row is cut.

import { html, nothing } from "lit-html";
import { empty } from "../../parts/empty.js";
import { selectField } from "../../parts/fields.js";
import { count, plural, statement } from "../../parts/format.js";
import { badge, card } from "../../parts/page.js";
import { skeleton } from "../../parts/progress.js";
import { SHOWN } from "./looking.js";
import { pager, unread } from "./paging.js";

const MOST = 4_000;

export function tokensView({ looking, wish }) {
  if (!wish.model) {
    return empty({ icon: "model", title: "Choose a base model first", text: "Its tokenizer and its chat template decide what a row becomes.",
      actions: html`<a class="button primary" href="/models">Go to models</a>` });
  }
  const { tokens, tokensAt: at } = looking;
  const { answer, error, busy } = tokens.value ?? { busy: true };
  return html`
    <div class="row-tools">${filesOf(looking)}${legend}</div>
    ${error ? unread(error, () => looking.readTokens()) : nothing}
    ${answer ? html`
      ${answer.rows.length ? answer.rows.map((row) => tokenRow(looking.name, row)) : empty({ icon: "data", title: "There is nothing to show", text: "No row here can be trained on. The checks say why." })}
      ${answer.problems.length ? html`<p class="quiet">${plural(answer.problems.length, "row", "rows")} on the way cannot be used and ${answer.problems.length === 1 ? "is" : "are"} left out; the checks list them.</p>` : nothing}
      ${pager({ offset: at.offset, size: SHOWN, number: answer.rows.length, more: answer.more, busy, turn: (offset) => looking.readTokens({ offset }) })}`
      : busy ? skeleton(12) : nothing}`;
}

function filesOf(looking) {
  const { files } = looking.described.value;
  if (files.length < 2) return nothing;
  const choices = [{ value: "", label: "All of them" }, ...files.map(({ file }) => file)];
  return selectField({ name: "tokens_file", label: "File", value: looking.tokensAt.file ?? "", choices,
    change: (file) => looking.readTokens({ file: file || null, offset: 0 }) });
}

const legend = html`
  <p class="token-legend"><span class="tokens"><mark>learned</mark></span> underlined: the model learns to say it
    <span class="tokens"><span>seen</span></span> only read</p>`;

function tokenRow(dataset, row) {
  const file = row.file.replace(`${dataset}/`, "");
  const place = [file, row.line === null ? "" : `line ${count(row.line)}`, row.chunks > 1 ? `chunk ${count(row.chunk)} of ${count(row.chunks)}` : ""];
  return card({
    title: place.filter(Boolean).join(", "),
    note: `${plural(row.tokens, "token")}, ${count(row.learned)} learned`,
    actions: row.cut ? badge(`${plural(row.cut, "token is", "tokens are")} cut off`, "waiting") : nothing,
    body: html`
      ${row.problem ? html`<p class="row-problem">${statement(row.problem)}</p>` : nothing}
      <div class="tokens">${row.pieces.slice(0, MOST).map(piece)}${row.pieces.length > MOST
        ? html`<span class="token-end">${plural(row.pieces.length - MOST, "more token")}</span>`
        : row.cut ? html`<span class="token-end cut">cut here: ${plural(row.cut, "token")} behind this left out</span>` : nothing}</div>`,
  });
}

/** A line break is drawn as well, for it is a token; of several tokens of one character all but the first are a dot. */
function piece({ text, id, learned }) {
  const shown = text === "" ? "·" : text.replaceAll("\n", "↵\n").replaceAll("\t", "⇥\t");
  return learned ? html`<mark title="Token ${id}, learned">${shown}</mark>` : html`<span title="Token ${id}">${shown}</span>`;
}
