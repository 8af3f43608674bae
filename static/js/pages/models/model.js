// One model that is here: figures, what it takes of this machine, its card.

import { html, nothing, render } from "lit-html";
import { go } from "../../frame/router.js";
import { action, copying } from "../../parts/action.js";
import { empty } from "../../parts/empty.js";
import { count, gigabytes, loss, megabytes, MISSING, moment, sentence, statement } from "../../parts/format.js";
import { icon } from "../../parts/icons.js";
import { menu } from "../../parts/menu.js";
import { badge, card, figures, pageHead } from "../../parts/page.js";
import { meter, skeleton } from "../../parts/progress.js";
import { table } from "../../parts/table.js";
import { get, path, query as withQuery } from "../../state/api.js";
import { modelServerRuns, resident } from "../../state/health.js";
import { library, refreshLibrary } from "../../state/models.js";
import { Store, watch } from "../../state/store.js";
import { load, remove, unload } from "./acts.js";
import { cardOf, shownCard } from "./card.js";
import { trainAddress } from "./list.js";
import { openPublish } from "./publish.js";
import { otherForms } from "./tools.js";
import { address, called, context, described, fitBadge, holds, licence, parameters, residence } from "./words.js";

export async function openModel({ element, signal, title }, name) {
  const text = new Store(undefined);
  await refreshLibrary({ signal });
  const found = library.value.models.find((model) => model.name === name);
  if (!found) return render(absent(name), element);
  title(called(found));
  watch([library, resident, text], () => {
    const model = library.value.models.find((other) => other.name === name) ?? found;
    render(page(model, library.value, text.value), element);
  }, signal);
  text.set(await content(found, signal));
}

/** What is read beside the library: the card, or an adapter's checkpoints. */
async function content({ name, has_card: hasCard, adapter }, signal) {
  if (adapter) return (await get(path`/api/runs/${name}`, { signal })).checkpoints;
  return hasCard ? cardOf(withQuery("/api/models/card", { name }), signal) : null;
}

const absent = (name) => empty({
  level: 1,
  icon: "search",
  title: "This model is not here",
  text: `Nothing is called ${name}: it was deleted, or never here.`,
  actions: html`<a class="button primary" href="/models">All models</a>
    ${/^[\w.-]+\/[\w.-]+$/.test(name) ? html`<a class="button" href=${`/models?hub=${encodeURIComponent(name)}`}>Look on the Hub</a>` : nothing}`,
});

function page(model, { machine, models, sequence_length: length }, text) {
  return html`
    ${pageHead({
      above: html`<a href="/models">Models</a>`,
      title: called(model),
      lead: html`${residence(resident.value, model)}${described(model)}${model.created_at ? ` · ${moment(model.created_at)}` : nothing}`,
      actions: buttons(model),
    })}
    ${model.problem ? html`<div class="notice" data-tone="bad" role="group" aria-label="Problem">${icon("warning")}
      <div><h2>It cannot be used</h2><p>${statement(model.problem)}</p></div></div>` : nothing}
    ${figures([
      ["Parameters", parameters(model)],
      ["On disk", gigabytes(model.size_gb)],
      ["Weights", model.quantization ?? MISSING, "How each weight is stored"],
      ["Context", context(model), "Tokens that the model was made for"],
      ["Licence", licence(model)],
    ])}
    <div class="model-page">
      ${model.adapter ? checkpoints(model, text) : card({ title: "Card", body: shownCard(text, nothingSaid(model)) })}
      <div class="model-side">
        ${card({ title: "Memory", body: memory(model, machine, length) })}
        ${origin(model, models)}
        ${model.has_picture ? card({ title: "How it was trained", body: html`<a href=${picture(model)} target="_blank" rel="noopener"><img class="model-picture" src=${picture(model)} alt="Losses of the run that it comes from" width="1600" height="1000" loading="lazy"></a>` }) : nothing}
      </div>
    </div>`;
}

const picture = ({ name }) => withQuery("/api/models/picture", { name });

function buttons(model) {
  const held = holds(resident.value, model);
  const failed = `${called(model)} was not loaded`;
  return html`
    ${model.problem ? nothing : held
      ? html`<a class="button primary" href="/chat">${icon("chat")}Chat</a>
        <button class="button" @click=${action(unload, { failed: "The model was not unloaded" })}>Unload</button>`
      : html`<button class="button primary" ?disabled=${!modelServerRuns()} title=${modelServerRuns() ? nothing : "No model server runs"}
          @click=${action(() => load(model), { failed })}>Load</button>`}
    ${model.problem ? nothing : html`<a class="button" href=${trainAddress(model)}>${icon("train")}${model.adapter ? "Train on" : "Train it"}</a>`}
    ${model.adapter && !model.problem ? html`<button class="button" @click=${action(() => openPublish(model.name))}>${icon("publish")}Publish</button>` : nothing}
    ${model.problem ? nothing : menu({ label: "More about this model", items: otherForms(model), kind: "icon-button framed" })}
    <button class="icon-button" aria-label="Delete" title=${held ? "Unload it first" : "Delete"} ?disabled=${held}
      @click=${action(async () => await remove(model) && go("/models"), { failed: `${called(model)} was not deleted` })}>${icon("trash")}</button>`;
}

function memory(model, machine, length) {
  const limit = machine.memory_limit_gb;
  const line = (name, fit, what) => html`
    <div><dt>${name}</dt><dd>${fitBadge(fit, limit, what)}${fit ? meter({ value: fit.needed_gb, max: limit, label: `Memory for ${what}`, tone: { tight: "waiting", "too large": "bad" }[fit.fit] ?? "" }) : nothing}</dd></div>`;
  return html`<dl class="memory-lines">${line("Chatting", model.chat, "chatting")}${line("Training", model.training, "training")}</dl>
    <p class="quiet small">Training as it is set up at first: LoRA, two sequences of up to ${count(length)} tokens at once. A program may use
      ${gigabytes(limit)} here (${machine.note}); ${gigabytes(machine.memory_available_gb)} are free.</p>`;
}

function origin(model, models) {
  const { adapter } = model;
  const place = html`<div><dt>${model.kind === "cached" ? "On the Hub" : "Folder"}</dt><dd><code>${model.path}</code>
    <button class="icon-button" aria-label="Copy ${model.path}" @click=${copying(model.path)}>${icon("copy")}</button></dd></div>`;
  const base = adapter && models.find(({ name }) => name === adapter.base_model);
  return card({ title: adapter ? "Where it comes from" : "Where it is", body: html`<dl class="origin">
    ${adapter ? html`
      <div><dt>Base model</dt><dd>${base ? html`<a href=${address(base.name)}>${called(base)}</a>` : adapter.base_model}</dd></div>
      <div><dt>Run</dt><dd><a href=${`/runs/${encodeURIComponent(adapter.training_id)}`}>${adapter.training_id}</a></dd></div>
      ${adapter.dataset ? html`<div><dt>Dataset</dt><dd>${adapter.dataset}</dd></div>` : nothing}` : nothing}
    ${model.architecture ? html`<div><dt>Architecture</dt><dd>${model.architecture}</dd></div>` : nothing}
    ${model.model_type ? html`<div><dt>Kind</dt><dd>${sentence(model.model_type)}</dd></div>` : nothing}
    ${place}</dl>` });
}

/** Its checkpoints, the best first: each can be loaded. */
function checkpoints(model, list) {
  if (!list) return card({ title: "Checkpoints", body: skeleton(5) });
  const loadIt = (iteration) => action(() => load(model, { iteration }), { failed: `Iteration ${count(iteration)} was not loaded` });
  return card({ title: "Checkpoints", note: "the best first", kind: "flush", body: table({
    label: "Checkpoints",
    rows: list,
    key: ({ iteration }) => iteration,
    columns: [
      { key: "iteration", label: "Iteration", kind: "number", cell: (c) => count(c.iteration) },
      { key: "loss", label: "Validation loss", kind: "number", cell: (c) => loss(c.validation_loss) },
      { key: "size", label: "Size", kind: "number", wide: true, cell: (c) => megabytes(c.size_mb) },
      { key: "remark", label: "Remark", cell: (c) => c.problem ?? (c.is_best ? badge("Best", "good") : c.tied_with_best ? "Tied with the best" : nothing) },
      { key: "do", label: html`<span class="unseen">What can be done</span>`, kind: "tight", cell: (c) => c.problem ? nothing : html`
        <button class="button small" ?disabled=${!modelServerRuns()} @click=${loadIt(c.iteration)}>Load<span class="unseen"> iteration ${c.iteration}</span></button>` },
    ],
  }) });
}

function nothingSaid(model) {
  if (model.kind !== "cached") return "There is no README.md in its folder.";
  return html`Its README was not downloaded. <a href=${`/models?hub=${encodeURIComponent(model.name)}`}>Read it on the Hub</a>`;
}
