// The files of a dataset: what their rows were taken for and why, and saying it by hand.

import { html, nothing } from "lit-html";
import { action } from "../../parts/action.js";
import { openDialog } from "../../parts/dialog.js";
import { selectField } from "../../parts/fields.js";
import { count, plural, statement } from "../../parts/format.js";
import { icon } from "../../parts/icons.js";
import { badge, card } from "../../parts/page.js";
import { table } from "../../parts/table.js";
import { SHAPES, shapeName } from "./shapes.js";
import { size } from "./sizes.js";

const PARTS = { train: "Trained on", valid: "Validated on", heldout: "Held out", test: "Held out" };
const LISTED = 100;

export function filesCard(looking) {
  const { files, documents, document_count: number, decisions } = looking.described.value;
  return html`${files.length ? rowFiles(looking, files) : nothing}${number ? documentFiles(looking, { documents, number, decisions }) : nothing}`;
}

function rowFiles(looking, rows) {
  const columns = [
    { key: "file", label: "File", cell: ({ file, size_bytes: bytes }) => html`<b class="place">${file}</b><small>${size(bytes)}</small>` },
    { key: "part", label: "Part", wide: true, cell: ({ part }) => PARTS[part] },
    { key: "shape", label: "Taken for", cell: takenFor },
    { key: "excluded", label: "Left out", kind: "number", wide: true, cell: (f) => (f.whole_file_excluded ? "all of it" : count(f.excluded)) },
    { key: "columns", label: html`<span class="unseen">Change</span>`, kind: "tight", cell: (f) => html`
      <div class="actions"><button class="button small" aria-label="Columns of ${f.file}" @click=${action(() => mapColumns(looking, f), { failed: "Its columns were not read" })}>Columns</button>
      ${inOrOut(looking, f.file, f.whole_file_excluded)}</div>` },
  ];
  return card({ title: "Files of rows", kind: "flush", body: table({ label: "Files of rows", columns, rows, key: ({ file }) => file }) });
}

const takenFor = ({ shape, reason, by_hand: byHand }) => html`
  ${shape === null ? badge("Not recognised", "bad") : html`<b>${shapeName(shape)}</b>`}${byHand ? html` ${badge("by hand")}` : nothing}
  <small class="why">${statement(reason)}</small>`;

const inOrOut = (looking, file, out) => html`
  <button class="button small" aria-label=${out ? `Take ${file} in again` : `Leave ${file} out`}
    @click=${action(() => looking.leaveOut(file, [0], !out), { failed: "Nothing was changed" })}>${out ? "Take in" : "Leave out"}</button>`;

function documentFiles(looking, { documents, number, decisions }) {
  const columns = [
    { key: "file", label: "Document", cell: ({ file }) => html`<b class="place">${file}</b>` },
    { key: "size", label: "Size", kind: "number", cell: ({ size_bytes: bytes }) => size(bytes) },
    { key: "out", label: html`<span class="unseen">Change</span>`, kind: "tight", cell: ({ file }) => inOrOut(looking, file, (decisions.excluded[file] ?? []).includes(0)) },
  ];
  const rows = documents.slice(0, LISTED);
  return html`<details class="card flush-details"><summary>${plural(number, "document")}${number > rows.length ? `, the first ${count(rows.length)}` : ""}</summary>
    ${table({ label: "Documents", columns, rows, key: ({ file }) => file })}</details>`;
}

/** The dialog in which the shape of a file and the column of each part are said by hand. */
async function mapColumns(looking, file) {
  const found = await looking.columns(file.file);
  const wish = { shape: file.by_hand ? file.shape : "", columns: { ...file.columns } };
  openDialog({
    title: `Columns of ${file.file}`,
    wide: true,
    body: (dialog) => mapping(wish, { found, dialog }),
    actions: (dialog) => html`
      <button class="button" @click=${() => dialog.close()}>Cancel</button>
      <button class="button primary" ?disabled=${missing(wish).length > 0}
        @click=${action(() => decide(looking, { file: file.file, wish, dialog }), { done: "The columns are decided", failed: "The columns were not changed" })}>${icon("check")}Use these</button>`,
  });
}

const shapeOf = ({ shape }) => SHAPES.find(({ value }) => value === shape);

const missing = (wish) => (shapeOf(wish)?.parts ?? []).filter(({ name, needed }) => needed && !wish.columns[name]);

function mapping(wish, { found, dialog }) {
  const change = (values) => {
    Object.assign(wish, values);
    dialog.draw();
  };
  const choices = [{ value: "", label: "Whatever is recognised" }, ...SHAPES];
  const parts = shapeOf(wish)?.parts ?? [];
  return html`
    <p class="quiet">Its columns: ${found.length ? found.map((name) => html`<code>${name}</code> `) : "none could be read"}</p>
    ${selectField({ name: "shape", label: "What its rows are", value: wish.shape, choices, change: (shape) => change({ shape }) })}
    <div class="columns">${parts.map(({ name, needed }) => selectField({
      name: `column-${name}`,
      label: needed ? name : `${name} (if there is one)`,
      value: wish.columns[name] ?? "",
      choices: [{ value: "", label: needed ? "Choose a column" : "None" }, ...found],
      problem: needed && !wish.columns[name] ? "Needed" : "",
      change: (column) => change({ columns: { ...wish.columns, [name]: column } }),
    }))}</div>`;
}

async function decide(looking, { file, wish, dialog }) {
  const { columns, shapes } = looking.described.value.decisions;
  const others = (all) => Object.fromEntries(Object.entries(all).filter(([name]) => name !== file));
  const named = (shapeOf(wish)?.parts ?? []).map(({ name }) => [name, wish.columns[name]]).filter(([, column]) => column);
  await looking.decide(wish.shape
    ? { shapes: { ...others(shapes), [file]: wish.shape }, columns: { ...others(columns), [file]: Object.fromEntries(named) } }
    : { shapes: others(shapes), columns: others(columns) });
  dialog.close();
}
