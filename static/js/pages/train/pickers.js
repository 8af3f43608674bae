// Choosing what is there: the model or adapter, the datasets, a preset.

import { html, nothing } from "lit-html";
import { selectField } from "../../parts/fields.js";
import { count, gigabytes, megabytes, plural, short } from "../../parts/format.js";
import { icon } from "../../parts/icons.js";
import { badge } from "../../parts/page.js";
import { library } from "../../state/models.js";
import { labelOf, modelName } from "./words.js";

const GROUPS = { base: "Base models", cached: "Downloaded", published: "Published models", adapter: "Go on with an adapter" };
const FITS = { fits: ["Fits", "good"], tight: ["Tight", "waiting"], "too large": ["Too large", "bad"] };
const ADAPTER = "adapter:";

/** One list of all that can learn: models, and the adapters of earlier runs. */
export function modelField(options, { wish, pick }) {
  const all = (library.value?.models ?? []).filter(({ problem }) => !problem);
  if (!all.length && !wish.values.model_name && !wish.values.start_from) return nothingToTrain;
  const value = wish.values.start_from ? ADAPTER + wish.values.start_from : wish.values.model_name ?? "";
  const known = all.map(choiceFor).sort((a, b) => a.place - b.place);
  const model = known.find((each) => each.value === value)?.model;
  const elsewhere = value && !model ? [{ value, label: value.replace(ADAPTER, "") }] : [];
  return selectField({
    ...options,
    value,
    changed: false,
    choices: [{ value: "", label: "Choose a model …", disabled: true }, ...elsewhere, ...known],
    hint: model ? about(model) : "What is to learn: a base model, a published one, or the adapter of an earlier run.",
    aside: model?.training ? fitOf(model.training) : nothing,
    change: (next) => pick(next.startsWith(ADAPTER) ? { start_from: next.slice(ADAPTER.length) } : { model_name: next }),
  });
}

const choiceFor = (model) => ({
  model,
  value: (model.kind === "adapter" ? ADAPTER : "") + model.name,
  label: model.kind === "adapter" ? `${modelName(model)} · ${model.name}` : modelName(model),
  group: GROUPS[model.kind],
  place: Object.keys(GROUPS).indexOf(model.kind),
});

function about({ architecture, parameters, context_length: length, model_type: type, quantization, adapter, name }) {
  if (adapter) return `The best checkpoint of ${name}, which learned from ${adapter.dataset ?? "data that is not known"}.`;
  return [architecture, parameters === null ? null : `${short(parameters)} parameters`, length === null ? null : `context ${count(length)}`, quantization, type]
    .filter(Boolean).join(" · ");
}

const fitOf = ({ fit, needed_gb: needed }) => {
  const [word, tone] = FITS[fit];
  return badge(word, tone, `Training takes about ${gigabytes(needed)} with the usual settings`);
};

export function datasetField(options, { datasets, change, byName }) {
  if (!datasets.length && !options.value) return nothingToRead;
  const choices = [{ value: "", label: "Choose a dataset …", disabled: true }, ...choicesFor(datasets, options.value)];
  return selectField({ ...options, value: options.value ?? "", choices, hint: told(datasets, options.value) || "What it is to learn from.",
    change: (value) => change(byName.dataset, value) });
}

export function generalField(options, { datasets, wish }) {
  const others = datasets.filter(({ name }) => name !== wish.values.dataset);
  const choices = [{ value: "", label: "None" }, ...choicesFor(others, options.value)];
  return selectField({ ...options, value: options.value ?? "", choices });
}

function choicesFor(datasets, value) {
  const elsewhere = value && !datasets.some(({ name }) => name === value) ? [{ value, label: value }] : [];
  return [...elsewhere, ...datasets.map(({ name }) => ({ value: name, label: name }))];
}

function told(datasets, value) {
  const found = datasets.find(({ name }) => name === value);
  if (!found) return "";
  const size = found.total_size_mb < 0.1 ? "" : `${megabytes(found.total_size_mb)}, `;
  return `${plural(found.file_count, "file")}, ${size}about ${short(found.estimated_tokens)} tokens`;
}

const toDo = (label, text, link) => html`
  <div class="train-none"><b>${label}</b><p>${text}</p>${link}</div>`;

const nothingToTrain = toDo("No model is here yet", "Get a base model first: small ones train in minutes.",
  html`<a class="button small" href="/models">${icon("model")}Choose a model</a>`);

const nothingToRead = toDo("No dataset is here yet", "Bring documents, or questions with their answers.",
  html`<a class="button small" href="/data">${icon("plus")}Add a dataset</a>`);

/** The named settings that suit what is trained. */
export function presetPicker({ presets, wish, usePreset, isAsPreset }) {
  const type = wish.values.training_type;
  const suited = presets.filter((one) => [null, type].includes(one.training_type));
  const chosen = suited.find(({ name }) => name === wish.preset);
  const choices = [
    { value: "", label: "Defaults" },
    ...suited.map(({ name, built_in: given }) => ({ value: name, label: given ? name.replace(/^(cpt|ift) /, "").replace(/^./, (c) => c.toUpperCase()) : name, group: given ? "Come with ForgeLLM" : "Your own" })),
  ];
  const away = !isAsPreset(chosen ?? null);
  return selectField({
    name: "preset",
    label: labelOf("preset"),
    value: chosen?.name ?? "",
    choices,
    hint: `${chosen?.description ?? (away ? "" : "Settings that suit most first runs. ")} ${away ? "With changes of your own." : ""}`.trim(),
    change: usePreset,
  });
}
