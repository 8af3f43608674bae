// The report on a dataset: how many rows can be used, what is wrong with the others and where, what is there twice.

import { html, nothing } from "lit-html";
import { toast } from "../../frame/toasts.js";
import { action } from "../../parts/action.js";
import { empty } from "../../parts/empty.js";
import { count, MISSING, plural, statement } from "../../parts/format.js";
import { icon } from "../../parts/icons.js";
import { card, figures } from "../../parts/page.js";
import { bar, skeleton } from "../../parts/progress.js";
import { prose } from "../../parts/prose.js";
import { table } from "../../parts/table.js";
import { filesCard } from "./kinds.js";
import { lengths } from "./lengths.js";

const LISTED = 50;

export const checks = ({ looking }) => {
  const { busy, stopped, progress, stage, answer, error } = looking.report.value;
  const doing = stage === "rows" ? "Checking every row" : "Counting tokens";
  return html`
    <div class="checking" role="status">${busy
      ? html`${bar({ value: progress, label: doing, text: progress === null ? `${doing} …` : `${doing}: ${Math.floor(progress)} %` })}
        <button class="button small" @click=${action(() => looking.stopChecking(), { failed: "It is checked all the same" })}>Cancel</button>`
      : stopped ? html`<p class="quiet">Not every row was checked.</p>
        <button class="button small" @click=${() => looking.check()}>${icon("refresh")}Check them</button>`
      : answer && !error ? html`<p class="quiet">${icon("check")} Every row was checked.</p>` : nothing}</div>
    ${error ? trouble(looking, error) : nothing}
    ${unmapped(looking)}
    ${answer ? found(looking, answer) : busy ? skeleton(5) : nothing}
    ${filesCard(looking)}`;
};

const trouble = (looking, error) => html`
  <div class="notice" data-tone="bad" role="group" aria-label="Failure">
    ${icon("warning")}
    <div><h2>The dataset was not checked</h2><p>${statement(error.message)} ${prose(error.suggestion ?? "")}</p>
      <div class="actions"><button class="button small" @click=${() => looking.check()}>${icon("refresh")}Check again</button></div></div>
  </div>`;

/** A file whose columns nobody knows is the most frequent reason why nothing can be trained on. */
function unmapped({ described }) {
  const strange = described.value.files.filter((file) => file.shape === null && !file.whole_file_excluded);
  return strange.length ? html`
    <div class="notice" data-tone="waiting" role="group" aria-label="Columns">
      ${icon("info")}
      <div><h2>${strange.length === 1 ? html`Say what the columns of ${strange[0].file} are` : "Say what the columns of some files are"}</h2>
        <p>Their names are not known. Press “Columns” beside the file below.</p></div>
    </div>` : nothing;
}

function found(looking, report) {
  const { tokens } = report;
  const twins = report.duplicates.count + report.near_duplicates.count;
  return html`
    ${figures([
      ["Rows", count(report.rows), "Rows and documents"],
      ["Can be used", count(report.usable)],
      ["Cannot", count(report.refused)],
      ["Left out by hand", count(report.excluded)],
      ["Same or nearly", count(twins), "Rows and documents that are the same as an earlier one, or nearly"],
      ["Tokens", tokens ? count(tokens.total) : MISSING, tokens ? "Counted with the tokenizer of the base model" : "Choose a base model to have them counted"],
    ])}
    ${problems(looking, report)}
    ${lengths(report)}
    ${twice(looking, report)}
    ${notes(report)}`;
}

const nameIn = (report) => (file) => file.replace(`${report.dataset}/`, "");

const placeOf = (file, line) => html`<b class="place">${file}</b>${line === null ? nothing : html`<small>line ${count(line)}</small>`}`;

function problems(looking, report) {
  if (!report.problem_count) {
    return report.rows ? nothing : empty({ icon: "data", title: "There is nothing to train on", text: "Add files with rows or documents, or take in again what is left out." });
  }
  const file = nameIn(report);
  const rows = report.problems.slice(0, LISTED).map((each) => ({ ...each, file: file(each.file) }));
  const places = report.problems.map((each) => ({ file: file(each.file), line: each.line }));
  const columns = [
    { key: "place", label: "Where", cell: (p) => placeOf(p.file, p.line) },
    { key: "reason", label: "What is wrong", cell: (p) => html`${statement(p.reason)}${p.suggestion ? html` <span class="quiet">${prose(p.suggestion)}</span>` : nothing}` },
    { key: "out", label: html`<span class="unseen">Leave out</span>`, kind: "tight", cell: (p) => outButton(looking, p.file, p.line) },
  ];
  return card({
    title: plural(report.problem_count, "problem"),
    note: report.problem_count > rows.length ? `the first ${count(rows.length)}` : nothing,
    kind: "flush",
    actions: html`<button class="button small" @click=${action(() => looking.leaveAllOut(places), { failed: "They were not left out" })}>
      ${places.length < report.problem_count ? `Leave the first ${count(places.length)} out` : "Leave all of them out"}</button>`,
    body: html`${reasons(report, file)}${table({ label: "Problems", columns, rows, key: (p) => `${p.file} ${p.line} ${p.reason}` })}`,
  });
}

/** What many rows share is said once, before they are listed. */
const reasons = (report, file) => (report.reasons.length <= report.problem_count / 2 ? html`
  <ul class="reasons inset">${report.reasons.slice(0, 5).map((each) => html`
    <li><b>${count(each.count)} ×</b> ${each.reason} <span class="quiet">first in ${file(each.file)}${each.line === null ? "" : `, line ${count(each.line)}`}</span></li>`)}
  </ul>` : nothing);

const outButton = (looking, file, line) => html`
  <button class="button small" aria-label=${line === null ? `Leave ${file} out` : `Leave line ${line} of ${file} out`}
    @click=${action(() => leaveOut(looking, file, line), { failed: "It was not left out" })}>Leave out</button>`;

/** Leave one line out, and say so with a way back. A document has no lines: all of it is meant. */
export async function leaveOut(looking, file, line) {
  await looking.leaveOut(file, [line ?? 0], true);
  const what = line === null ? file : `Line ${count(line)} of ${file}`;
  const undo = action(() => looking.leaveOut(file, [line ?? 0], false), { failed: "It was not taken in again" });
  toast(`${what} is left out`, { action: { label: "Undo", run: undo } });
}

function twice(looking, report) {
  const file = nameIn(report);
  const { duplicates, near_duplicates: near, overlap } = report;
  const listed = [...overlap.listed.map((twin) => ({ ...twin, apart: true })), ...duplicates.listed, ...near.listed].slice(0, LISTED)
    .map((twin) => ({ ...twin, file: file(twin.file), of_file: file(twin.of_file) }));
  if (!listed.length) return nothing;
  const columns = [
    { key: "place", label: "Where", cell: (t) => placeOf(t.file, t.line) },
    { key: "of", label: "Is there already in", cell: (t) => placeOf(t.of_file, t.of_line) },
    { key: "how", label: "How", cell: (t) => `${t.nearly ? "Nearly the same" : "The same"}${t.apart ? ", in another part" : ""}` },
    { key: "out", label: html`<span class="unseen">Leave out</span>`, kind: "tight", cell: (t) => outButton(looking, t.file, t.line) },
  ];
  return html`
    <details class="card flush-details">
      <summary>${plural(duplicates.count + near.count, "row is there twice", "rows are there twice")}${overlap.count
        ? `, ${count(overlap.count)} in two parts: validation flatters the model` : ""}</summary>
      ${table({ label: "What is there twice", columns, rows: listed, key: (t) => `${t.file} ${t.line} ${t.of_file} ${t.of_line}` })}
    </details>`;
}

const notes = (report) => (report.notes.length ? html`
  <details class="card"><summary>${plural(report.notes.length, "decision was", "decisions were")} taken for you</summary>
    <ul class="reasons">${report.notes.slice(0, LISTED).map((note) => html`
      <li><b>${nameIn(report)(note.file)}${note.line === null ? "" : `, line ${count(note.line)}`}</b> ${note.reason} <span class="quiet">${prose(note.suggestion)}</span></li>`)}
    </ul></details>` : nothing);
