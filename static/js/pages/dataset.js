// One dataset: what its rows come to, what is wrong with them, and what a model will see of them.

import { html, nothing, render } from "lit-html";
import { go, setQuery } from "../frame/router.js";
import { action } from "../parts/action.js";
import { numberField, segmented, selectField } from "../parts/fields.js";
import { count, model as short, plural } from "../parts/format.js";
import { icon } from "../parts/icons.js";
import { menu } from "../parts/menu.js";
import { pageHead } from "../parts/page.js";
import { get } from "../state/api.js";
import { watch } from "../state/store.js";
import { addFiles } from "./data/adding.js";
import { address, toTrain } from "./data/addresses.js";
import { checks } from "./data/checks.js";
import { Looking } from "./data/looking.js";
import { convert, split } from "./data/making.js";
import { mixture } from "./data/mixture.js";
import { remove } from "./data/removing.js";
import { rowsView } from "./data/rows.js";
import { tokensView } from "./data/tokens.js";

const VIEWS = [
  { value: "checks", label: "Checks" },
  { value: "rows", label: "Rows" },
  { value: "tokens", label: "As the model sees it" },
];

export async function open({ element, params, query, signal }) {
  const [models, { datasets }] = await Promise.all([get("/api/models", { signal }), get("/api/datasets", { signal })]);
  const names = [...models.cached_models, ...models.published_models].map(({ name }) => name);
  const view = VIEWS.some(({ value }) => value === query.get("view")) ? query.get("view") : "checks";
  const wish = {
    view,
    model: names.includes(query.get("model")) ? query.get("model") : names[0] ?? null,
    length: Number.parseInt(query.get("length"), 10) || null,
    general: null,
    ratio: 0.8,
  };
  const looking = new Looking(params.name, wish, signal);
  await looking.describe();
  const page = { looking, wish, names, datasets, items: menuOf(looking) };
  page.change = (values) => change(page, values);
  page.draw = watch(looking.stores, () => render(whole(page), element), signal);
  looking.check();
  look(page);
}

/** Ask for what the view that is shown needs and does not have yet. */
function look({ looking, wish }) {
  if (wish.view === "rows" && !looking.rows.value) looking.readRows();
  if (wish.view === "tokens" && wish.model && !looking.tokens.value) looking.readTokens();
}

function change(page, values) {
  const { looking, wish } = page;
  Object.assign(wish, values);
  setQuery({ view: wish.view === "checks" ? null : wish.view, model: wish.model === page.names[0] ? null : wish.model, length: looking.wrongLength() ? null : wish.length });
  if ("model" in values || "length" in values) {
    looking.tokens.set(null);
    looking.tokensAt.offset = 0;
    looking.check();
  }
  look(page);
  page.draw();
}

function menuOf(looking) {
  const made = ({ dataset }) => go(address(dataset));
  return [
    { label: "Split off a part to validate on", icon: "branch", run: () => split(looking.name, made) },
    { label: "Convert", icon: "edit", run: () => convert(looking.name, { documents: looking.described.value.document_count > 0, made }) },
    { label: "Delete", icon: "trash", tone: "bad", run: action(() => deleteIt(looking.name), { failed: "The dataset was not deleted" }) },
  ];
}

const deleteIt = (name) => remove(name, { changed: () => go("/data", { replace: true }) });

function whole(page) {
  const { looking, wish, change: set } = page;
  const { name } = looking;
  const views = { checks: () => [checks(page), mixture(page)], rows: () => rowsView(page), tokens: () => tokensView(page) };
  return html`
    ${pageHead({
      title: name,
      above: html`<a href="/data">Data</a> / ${name}`,
      lead: lead(looking),
      actions: html`
        <button class="button" @click=${() => addFiles({ into: name, added: () => looking.anew() })}>${icon("plus")}Add files</button>
        <a class="button primary" href=${toTrain(name)}>${icon("train")}Train on this</a>
        ${menu({ label: "More", items: page.items })}`,
    })}
    <div class="tools dataset-tools">
      ${segmented({ name: "view", label: "What is shown", value: wish.view, choices: VIEWS, change: (view) => set({ view }) })}
      ${wish.view === "rows" ? nothing : seenBy(page)}
    </div>
    ${views[wish.view]()}`;
}

function lead({ described, report }) {
  const { files, document_count: documents } = described.value;
  const all = [files.length ? plural(files.length, "file") + " of rows" : "", documents ? plural(documents, "document") : ""];
  const usable = report.value.answer?.usable;
  return [...all, usable === undefined ? "" : `${count(usable)} can be used`].filter(Boolean).join(", ") || "Nothing in it that can be read";
}

/** Which base model it is looked at with: its tokenizer counts, its chat template writes. */
const seenBy = ({ wish, names, looking, change: set }) => (names.length ? html`
  <div class="seen-by">
    ${selectField({ name: "model", label: "Base model", value: wish.model, change: (model) => set({ model }),
      choices: names.map((value) => ({ value, label: short({ model_name: value }) })) })}
    ${numberField({ name: "max_seq_length", label: "Sequence length", unit: "tokens", value: wish.length,
      placeholder: String(looking.tokens.value?.answer?.max_seq_length ?? looking.report.value.answer?.max_seq_length ?? ""),
      problem: looking.wrongLength(), change: (length) => set({ length }) })}
  </div>` : nothing);
