// The models that are here: what each is made of, whether it fits, and the one that is loaded.

import { html, nothing, render } from "lit-html";
import { bind } from "../../frame/keys.js";
import { go, setQuery } from "../../frame/router.js";
import { action } from "../../parts/action.js";
import { empty } from "../../parts/empty.js";
import { searchField, segmented } from "../../parts/fields.js";
import { ago, gigabytes, plural, sentence } from "../../parts/format.js";
import { icon } from "../../parts/icons.js";
import { menu } from "../../parts/menu.js";
import { badge, pageHead } from "../../parts/page.js";
import { meter, skeleton } from "../../parts/progress.js";
import { sorter, table } from "../../parts/table.js";
import { modelServerRuns, resident } from "../../state/health.js";
import { library, pulls, refreshLibrary, refreshPulls } from "../../state/models.js";
import { isActive, runs } from "../../state/runs.js";
import { watch } from "../../state/store.js";
import { bringBuiltIn, load, remove, unload } from "./acts.js";
import { openPublish } from "./publish.js";
import { pullsCard } from "./pulls.js";
import { address, called, context, described, fitBadge, holds, licence, residence } from "./words.js";

const SHOWN = {
  all: () => true,
  cached: ({ kind }) => kind === "cached",
  base: ({ kind }) => kind === "base",
  adapter: ({ kind }) => kind === "adapter",
  published: ({ kind }) => kind === "published",
  quantized: ({ quantized, kind }) => quantized && kind !== "adapter",
};
const NAMES = { all: "All", cached: "Downloaded", base: "Base", adapter: "Adapters", published: "Published", quantized: "Quantized" };

export async function openList({ element, query, signal }) {
  const wish = { words: query.get("q") ?? "", only: query.get("only") in SHOWN ? query.get("only") : "all" };
  const sorting = sorter({ draw: () => draw() });
  const change = (values) => {
    Object.assign(wish, values);
    setQuery({ q: wish.words, only: wish.only === "all" ? null : wish.only });
    draw();
  };
  const draw = watch([library, pulls, resident], () => render(page(wish, change, sorting), element), signal);
  bind("/", { title: "Search the models", run: () => element.querySelector("input[type=search]")?.focus() }, signal);
  keepUpToDate(signal);
  await Promise.all([refreshLibrary({ signal }), refreshPulls()]);
}

/** A run that has ended may have left an adapter or a published model; whoever comes back may have put a folder there. */
function keepUpToDate(signal) {
  let over = null;
  addEventListener("focus", () => refreshLibrary({ signal }).catch(() => {}), { signal });
  runs.subscribe(({ runs: list }) => {
    const now = list.filter((run) => !isActive(run)).length;
    if (over !== null && now !== over) refreshLibrary({ signal }).catch(() => {});
    over = now;
  }, signal);
}

const get = html`<a class="button primary" href="/models?view=hub">${icon("download")}Get a model</a>`;

function page(wish, change, sorting) {
  if (!library.value) return [pageHead({ title: "Models", lead: html`&nbsp;` }), skeleton(8)];
  const { models, machine } = library.value;
  const size = models.reduce((sum, model) => sum + model.size_gb, 0);
  const words = wish.words.toLowerCase();
  const found = models.filter((model) => SHOWN[wish.only](model) && text(model).includes(words));
  return html`
    ${pageHead({
      title: "Models",
      lead: models.length ? `${plural(models.length, "model")}, ${gigabytes(size)} on disk` : "What learns, and what answers",
      actions: get,
    })}
    ${residentLine(machine)}
    ${pullsCard(pulls.value)}
    ${models.length ? html`
      <div class="tools">
        ${searchField({ label: "Search models", value: wish.words, change: (q) => change({ words: q }) })}
        ${segmented({ name: "only", label: "Which models", value: wish.only, choices: choices(models), change: (only) => change({ only }) })}
      </div>
      ${found.length ? rows(found, machine, sorting) : noneLikeThat(wish)}` : none}`;
}

const text = (model) =>
  [called(model), model.name, model.architecture, model.quantization, model.licence, model.adapter?.base_model].join(" ").toLowerCase();

function choices(models) {
  return Object.entries(NAMES)
    .map(([value, label]) => ({ value, label, number: models.filter(SHOWN[value]).length }))
    .map(({ value, label, number }) => ({ value, label: html`${label} <i class="tally">${number}</i>`, disabled: !number && value !== "all" }));
}

function residentLine({ memory_limit_gb: limit, note }) {
  const status = resident.value;
  if (!modelServerRuns()) {
    return html`<div class="resident-line">${icon("memory")}
      <p>No model server runs, so nothing can be loaded. <span class="quiet"><code>forgellm start</code> starts both servers.</span></p></div>`;
  }
  if (!status?.loaded) {
    return html`<div class="resident-line">${icon("memory")}
      <p>${status?.is_loading ? html`${badge("Loading", "busy")} <b>${status.model_name}</b>` : html`No model is loaded. <span class="quiet">Load one to chat with it.</span>`}</p></div>`;
  }
  const { memory_usage_gb: used } = status;
  return html`<div class="resident-line">${icon("memory")}
    <p>${badge("Loaded", "accent")} <b>${status.model_name.split("/").pop()}</b>${status.training_id ? html` with the adapter of <a href=${`/runs/${encodeURIComponent(status.training_id)}`}>${status.training_id}</a>` : nothing}</p>
    <span class="resident-memory" title=${sentence(note)}>${meter({ value: used, max: limit, label: "Memory of the model server" })}${gigabytes(used)} of ${gigabytes(limit)}</span>
    <a class="button small" href="/chat">${icon("chat")}Chat</a>
    <button class="button small" @click=${action(unload, { failed: "The model was not unloaded" })}>Unload</button></div>`;
}

function rows(models, machine, sorting) {
  const limit = machine.memory_limit_gb;
  return html`<div class="card flush">${table({
    label: "Models",
    rows: models,
    sorting,
    key: ({ name }) => name,
    href: ({ name }) => address(name),
    columns: [
      { key: "name", label: "Model", kind: "words model-name", cell: nameCell, sort: called },
      { key: "size", label: "Size", kind: "number", hint: "On the disk; of an adapter its run, with all checkpoints", cell: (m) => gigabytes(m.size_gb), sort: (m) => m.size_gb },
      { key: "quantization", label: "Weights", wide: true, hint: "How each weight is stored", cell: (m) => m.quantization ?? "–", sort: (m) => m.quantization },
      { key: "context", label: "Context", kind: "number", wide: true, hint: "Tokens that the model was made for", cell: context, sort: (m) => m.context_length },
      { key: "licence", label: "Licence", kind: "words roomy", wide: true, cell: licence, sort: (m) => m.licence },
      { key: "chat", label: "To chat", hint: "Memory it takes to chat with it", cell: (m) => fitBadge(m.chat, limit, "chatting"), sort: (m) => m.chat?.needed_gb ?? null },
      { key: "train", label: "To train", hint: "Memory it takes to train it with the usual settings", cell: (m) => fitBadge(m.training, limit, "training"), sort: (m) => m.training?.needed_gb ?? null },
      { key: "do", label: html`<span class="unseen">What can be done</span>`, kind: "tight", cell: todo },
    ],
  })}</div>`;
}

const nameCell = (model) => html`<b>${called(model)}</b> ${residence(resident.value, model)}
  <small>${described(model)}${model.created_at && model.kind !== "base" ? ` · ${ago(model.created_at)}` : nothing}</small>
  ${model.problem ? html`<small class="problem">${sentence(model.problem)}</small>` : nothing}`;

const menus = new Map();

function todo(model) {
  const held = holds(resident.value, model);
  return html`<span class="model-actions">
    ${model.problem ? nothing : held
      ? html`<button class="button small" @click=${action(unload, { failed: "The model was not unloaded" })}>Unload<span class="unseen"> ${called(model)}</span></button>`
      : html`<button class="button small" ?disabled=${!modelServerRuns()} @click=${action(() => load(model), { failed: `${called(model)} was not loaded` })}>Load<span class="unseen"> ${called(model)}</span></button>`}
    ${menu({ label: `More for ${called(model)}`, items: items(model, held) })}</span>`;
}

/** The same array as long as nothing changes, so that the menu stays the same element. */
function items(model, held) {
  const mark = `${held} ${model.problem}`;
  if (menus.get(model.name)?.mark !== mark) menus.set(model.name, { mark, items: itemsOf(model, held) });
  return menus.get(model.name).items;
}

const itemsOf = (model, held) => [
  { label: "Look at it", icon: "info", run: () => go(address(model.name)) },
  !model.problem && { label: model.adapter ? "Train on" : "Train it", icon: "train", run: () => go(trainAddress(model)) },
  model.adapter && !model.problem && { label: "Publish", icon: "publish", run: action(() => openPublish(model.name)) },
  model.adapter && { label: "Its run", icon: "runs", run: () => go(`/runs/${encodeURIComponent(model.name)}`) },
  { label: "Delete", icon: "trash", tone: "bad", disabled: held, run: action(() => remove(model), { failed: `${called(model)} was not deleted` }) },
];

/** Where it is set up for training: an adapter goes on learning. */
export const trainAddress = (model) => model.adapter
  ? `/train?start_from=${encodeURIComponent(model.name)}`
  : `/train?model_name=${encodeURIComponent(model.name)}`;

const noneLikeThat = ({ words, only }) => words
  ? empty({ icon: "search", title: "No model is like that", text: "Change what you search for, or look on the Hub.",
    actions: html`<a class="button" href=${`/models?view=hub&q=${encodeURIComponent(words)}`}>Search the Hub for ${words}</a>` })
  : empty({ icon: "model", title: `No ${NAMES[only].toLowerCase()} models`, text: "Choose another kind." });

const none = empty({
  icon: "model",
  title: "No models yet",
  text: "Get a base model from the Hub, or put a folder with one into `models/base`. The built-in one is small, needs no network, and learns within a minute or two.",
  actions: html`<a class="button primary" href="/models?view=hub">${icon("download")}Get a model</a>
    <button class="button" @click=${action(bringBuiltIn, { failed: "The built-in model was not copied" })}>Use the built-in model</button>`,
});
