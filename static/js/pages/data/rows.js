// Rows as they are in their file, and what each comes to or why it cannot be used.

import { html, nothing } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import { action } from "../../parts/action.js";
import { empty } from "../../parts/empty.js";
import { selectField, switchField } from "../../parts/fields.js";
import { count, statement } from "../../parts/format.js";
import { badge } from "../../parts/page.js";
import { skeleton } from "../../parts/progress.js";
import { prose } from "../../parts/prose.js";
import { leaveOut } from "./checks.js";
import { ROWS } from "./looking.js";
import { pager, unread } from "./paging.js";

const LONG = 420;

export function rowsView({ looking, wish, draw }) {
  const { rows, rowsAt: at } = looking;
  const { answer, error, busy } = rows.value ?? { busy: true };
  const read = (values) => looking.readRows({ offset: 0, ...values });
  wish.whole ??= new Set();
  const unfold = (key) => {
    if (!wish.whole.delete(key)) wish.whole.add(key);
    draw();
  };
  return html`
    <div class="row-tools">${filesOf(looking, read)}
      ${switchField({ name: "problems", label: "Only rows with something wrong", value: at.problems, change: (problems) => read({ problems }) })}</div>
    ${error ? unread(error, () => looking.readRows()) : nothing}
    ${answer ? html`
      <div class="card flush rows" aria-busy=${busy}>
        ${answer.rows.length
          ? repeat(answer.rows, (row, n) => `${answer.file} ${row.line ?? at.offset + n}`, (row) => oneRow(looking, { row, file: answer.file, whole: wish.whole, unfold }))
          : empty({ icon: "check", title: at.problems ? "Nothing is wrong with its rows" : "There are no rows here", text: at.problems ? "All that were read can be used." : "Choose another file." })}
      </div>
      ${pager({ offset: at.offset, size: ROWS, number: answer.rows.length, more: answer.more, busy, turn: (offset) => looking.readRows({ offset }) })}`
      : busy ? skeleton(12) : nothing}`;
}

function filesOf(looking, read) {
  const { files, document_count: documents } = looking.described.value;
  const choices = [...files.map(({ file }) => ({ value: file, label: file })), ...(documents && !files.length ? [{ value: "", label: "Documents" }] : [])];
  return choices.length < 2 ? nothing
    : selectField({ name: "file", label: "File", value: looking.rowsFile ?? choices[0].value, choices, change: (file) => read({ file: file || null }) });
}

function oneRow(looking, { row, file, whole, unfold }) {
  const name = file ?? row.values?.file ?? null;
  const key = `${name} ${row.line}`;
  const long = written(row).length > LONG;
  const style = `row ${row.excluded ? "out" : ""} ${long && !whole.has(key) ? "folded" : ""}`;
  return html`
    <article class=${style} aria-label=${row.line === null ? name : `Line ${row.line}`}>
      <header>
        <b>${row.line === null ? name : `Line ${count(row.line)}`}</b>
        ${row.excluded ? badge("Left out") : row.problem ? badge("Cannot be used", "bad") : nothing}
        <span class="actions">
          ${long ? html`<button class="button small" aria-expanded=${whole.has(key)} @click=${() => unfold(key)}>${whole.has(key) ? "Show less" : "Show all"}</button>` : nothing}
          ${name === null ? nothing : inOrOut(looking, { file: name, line: row.line, out: row.excluded })}
        </span>
      </header>
      <div class="row-raw"><h3>As it is</h3>${row.values ? values(row.values) : html`<p class="quiet">It could not be read.</p>`}</div>
      <div class="row-read"><h3>What it comes to</h3>${comesTo(row)}</div>
    </article>`;
}

const written = (row) => JSON.stringify([row.values, row.messages, row.preference, row.text]);

/** What is left out with all of its file comes back with all of it. */
function inOrOut(looking, { file, line, out }) {
  const whole = line === null || (looking.described.value.decisions.excluded[file] ?? []).includes(0);
  const take = () => (out ? looking.leaveOut(file, [whole ? 0 : line], false) : leaveOut(looking, file, line));
  const words = !out ? "Leave out" : whole && line !== null ? "Take the file in again" : "Take in again";
  return html`<button class="button small" @click=${action(take, { failed: "Nothing was changed" })}>${words}</button>`;
}

const values = (all) => html`<dl class="values">${Object.entries(all).map(([name, value]) => html`
  <div><dt>${name}</dt><dd>${typeof value === "string" ? value : JSON.stringify(value)}</dd></div>`)}</dl>`;

function comesTo({ messages, preference, text, problem, note, excluded }) {
  return html`
    ${excluded && !messages && !preference && text === null ? html`<p class="quiet">Nothing, for it is left out.</p>` : nothing}
    ${problem ? html`<p class="row-problem"><b>${statement(problem.reason)}</b> ${prose(problem.suggestion ?? "")}</p>` : nothing}
    ${note ? html`<p class="quiet">${statement(note)}</p>` : nothing}
    ${messages ? said(messages) : nothing}
    ${preference ? html`${said(preference.prompt ?? [])}
      <h4>Chosen</h4>${said(preference.chosen ?? [])}<h4>Rejected</h4>${said(preference.rejected ?? [])}` : nothing}
    ${text === null ? nothing : html`<p class="row-text">${text}</p>`}`;
}

const said = (messages) => html`<ol class="said">${messages.map(({ role, content }) => html`
  <li data-role=${role}><b>${role}</b><p>${content}</p></li>`)}</ol>`;
