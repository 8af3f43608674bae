// How models are called and described.

import { html, nothing } from "lit-html";
import { count, gigabytes, MISSING, model as short, sentence, short as few } from "../../parts/format.js";
import { badge } from "../../parts/page.js";
import { runs } from "../../state/runs.js";

const KINDS = { cached: "Downloaded", base: "Base", published: "Published", adapter: "Adapter" };
const FITS = { fits: ["Fits", "good"], tight: ["Tight", "waiting"], "too large": ["Too large", "bad"] };

/** `Qwen3-4B-bf16`; for an adapter what its run is called, else what it was trained from and on. */
export function called(model) {
  const { adapter } = model;
  if (!adapter) return short({ model_name: model.name });
  const run = runs.value?.runs.find(({ id }) => id === model.name);
  return run?.name || [short({ model_name: adapter.base_model }), adapter.dataset].filter(Boolean).join(" on ");
}

/** `Base · Qwen3 · 4B · instruct`, `Adapter · CPT, LoRA of rank 16` */
export function described(model) {
  const { adapter, kind, architecture, model_type: type } = model;
  return [KINDS[kind], adapter ? trained(adapter) : null, adapter ? null : architecture, adapter || model.parameters === null ? null : few(model.parameters), adapter ? null : type].filter(Boolean).join(" · ");
}

function trained({ training_type: type, fine_tune_type: tuned, rank }) {
  const how = tuned === "full" ? "whole weights" : tuned && `${tuned === "dora" ? "DoRA" : "LoRA"} of rank ${rank}`;
  return [type.toUpperCase(), how].filter(Boolean).join(", ");
}

export const parameters = ({ parameters: number }) => (number === null ? MISSING : few(number));

export const context = ({ context_length: length }) => (length === null ? MISSING : count(length));

export const licence = (model) => model.licence ?? MISSING;

/** Whether it fits, with the projected total against the limit; `what` is chatting or training. */
export function fitBadge(fit, limit, what) {
  if (!fit) return html`<span class="quiet">${MISSING}</span>`;
  const [word, tone] = FITS[fit.fit];
  return html`<span class="fit">${badge(word, tone, `${sentence(what)} takes about ${gigabytes(fit.needed_gb)} of ${gigabytes(limit)}`)}
    <small>${share(fit.needed_gb, limit)}</small></span>`;
}

/** `9.2 of 25.3 GB` */
function share(part, whole) {
  const [all, number] = [gigabytes(whole), gigabytes(part)];
  return `${all.endsWith(" GB") ? number.replace(" GB", "") : number} of ${all}`;
}

/** Whether the model server holds it, or is loading it. */
export function holds(status, model) {
  if (!status || !(status.loaded || status.is_loading)) return false;
  if (model.adapter) return status.training_id === model.name;
  const held = status.model_name;
  return !status.adapter_path && (model.name === held || model.name.endsWith(`/${held}`));
}

/** What the model server is doing with it. */
export function residence(status, model) {
  if (!holds(status, model)) return nothing;
  return status.is_loading ? badge("Loading", "busy") : badge("Loaded", "accent");
}

/** The address of the page about a model. */
export const address = (name) => `/models?model=${encodeURIComponent(name)}`;

export const hubAddress = (name) => `/models?hub=${encodeURIComponent(name)}`;
