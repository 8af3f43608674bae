// All datasets of the workspace: what there is, and bringing files in.

import { html, nothing, render } from "lit-html";
import { bind } from "../frame/keys.js";
import { go, setQuery } from "../frame/router.js";
import { action } from "../parts/action.js";
import { empty } from "../parts/empty.js";
import { searchField } from "../parts/fields.js";
import { ago, count, MISSING, moment, plural, short } from "../parts/format.js";
import { icon } from "../parts/icons.js";
import { menu } from "../parts/menu.js";
import { pageHead } from "../parts/page.js";
import { skeleton } from "../parts/progress.js";
import { sorter, table } from "../parts/table.js";
import { get } from "../state/api.js";
import { Store, watch } from "../state/store.js";
import { addFiles, dropZone } from "./data/adding.js";
import { address, toTrain } from "./data/addresses.js";
import { remove } from "./data/removing.js";
import { reported } from "./data/reporting.js";
import { size } from "./data/sizes.js";

// What is larger is counted when it is opened.
const COUNTED_AT_ONCE = 50;

const COLUMNS = [
  { key: "name", label: "Dataset", sort: (d) => d.name, cell: (d) => html`<b>${d.name}</b><small>${plural(d.file_count, "file")}</small>` },
  { key: "rows", label: "Usable rows", kind: "number", hint: "Rows and documents that can be trained on",
    sort: (d) => d.num_examples, cell: usable },
  { key: "size", label: "Size", kind: "number", sort: (d) => d.total_size_mb, cell: (d) => size(1e6 * d.total_size_mb) },
  { key: "tokens", label: "Tokens, about", kind: "number", wide: true, hint: "From its size; the exact count needs a base model",
    sort: (d) => d.estimated_tokens, cell: (d) => short(d.estimated_tokens) },
  { key: "changed", label: "Changed", kind: "number", wide: true, sort: (d) => d.uploaded_at,
    cell: (d) => html`<span title=${moment(d.uploaded_at)}>${ago(d.uploaded_at)}</span>` },
];

function usable({ num_examples: number, checking }) {
  if (number !== null) return count(number);
  return html`<span class="quiet" title=${checking === undefined ? "Open it to have them counted" : nothing}>${
    checking === undefined ? MISSING : checking === null ? "counting …" : `${Math.floor(checking)} %`}</span>`;
}

export async function open({ element, query, signal }) {
  const list = new Store(null);
  const refresh = async () => {
    list.set((await get("/api/datasets", { signal })).datasets);
    countRows(list, signal);
  };
  const wish = { words: query.get("q") ?? "", menus: new Map() };
  const sorting = sorter({ draw: () => draw() });
  const search = (words) => {
    wish.words = words;
    setQuery({ q: words });
    draw();
  };
  const add = (files = null) => addFiles({ files, taken: (list.value ?? []).map(({ name }) => name), added: (name) => go(address(name)) });
  const page = () => whole({ list: list.value, wish, search, sorting, add, refresh });
  const draw = watch([list], () => render(page(), element), signal);
  bind("/", { title: "Search the datasets", run: () => element.querySelector("input[type=search]")?.focus() }, signal);
  bind("a", { title: "Add files", run: () => add() }, signal);
  // Whoever comes back may have put a folder there.
  addEventListener("focus", () => refresh().catch(() => {}), { signal });
  await refresh();
}

/** Have the rows counted of what was not counted yet, one dataset after the other. */
async function countRows(list, signal) {
  const mine = list.value;
  const set = (name, values) => list.set(list.value.map((d) => (d.name === name ? { ...d, ...values } : d)));
  for (const { name, num_examples: known, total_size_mb: mb } of mine) {
    if (known !== null || mb > COUNTED_AT_ONCE) continue;
    try {
      const progress = (checking) => set(name, { checking });
      progress(null);
      const report = await reported(name, {}, { progress, signal });
      set(name, { num_examples: report.usable });
    } catch (error) {
      if (signal.aborted) return;
      // Its own page says why; the others are counted all the same.
      if (!error.expected) console.error(error);
      set(name, { checking: undefined });
    }
  }
}

function whole({ list, wish, search, sorting, add, refresh }) {
  if (!list) return [pageHead({ title: "Data" }), skeleton(8)];
  const found = list.filter(({ name }) => name.toLowerCase().includes(wish.words.toLowerCase()));
  const sum = list.reduce((total, { total_size_mb: mb }) => total + mb, 0);
  const lead = list.length ? `${plural(list.length, "dataset")}, ${size(1e6 * sum)}` : "What a model is to learn from";
  return html`
    ${pageHead({ title: "Data", lead, actions: html`<button class="button primary" @click=${() => add()}>${icon("plus")}Add files</button>` })}
    ${dropZone({ add, large: !list.length })}
    ${list.length ? html`
      <div class="tools">${searchField({ label: "Search datasets", value: wish.words, change: search })}</div>
      ${found.length ? all({ rows: found, wish, sorting, refresh }) : empty({ icon: "search", title: "No dataset is called that", text: "Change what you search for." })}`
      : none()}`;
}

const all = ({ rows, wish, sorting, refresh }) => html`<div class="card flush">${table({
  label: "Datasets",
  columns: [...COLUMNS, { key: "more", label: html`<span class="unseen">Actions</span>`, kind: "tight", cell: (d) => more(d, wish, refresh) }],
  rows,
  sorting,
  key: ({ name }) => name,
  href: ({ name }) => address(name),
})}</div>`;

function more({ name }, { menus }, refresh) {
  if (!menus.has(name)) {
    menus.set(name, [
      { label: "Train on this", icon: "train", run: () => go(toTrain(name)) },
      { label: "Delete", icon: "trash", tone: "bad", run: action(() => remove(name, { changed: refresh }), { failed: "The dataset was not deleted" }) },
    ]);
  }
  return menu({ label: `Actions for ${name}`, items: menus.get(name) });
}

const none = () => html`
  <ul class="kinds">
    <li><h2>Documents</h2><p>Text, Markdown, PDF, Word or EPUB. The model goes on reading: continued pre-training.</p></li>
    <li><h2>Questions and answers</h2><p>JSON Lines, JSON, CSV or Parquet. Columns are recognised, and can be named by hand.</p></li>
    <li><h2>Conversations</h2><p>Lists of messages, or transcripts in plain text that are converted here.</p></li>
  </ul>`;
