// Choosing who answers: a base model, a published model, or a checkpoint of a run.

import { html, nothing } from "lit-html";
import { toastError } from "../../frame/toasts.js";
import { action } from "../../parts/action.js";
import { confirm, openDialog } from "../../parts/dialog.js";
import { empty } from "../../parts/empty.js";
import { searchField } from "../../parts/fields.js";
import { ago, count, gigabytes, loss, model, title } from "../../parts/format.js";
import { icon } from "../../parts/icons.js";
import { skeleton } from "../../parts/progress.js";
import { get, path } from "../../state/api.js";
import { runs } from "../../state/runs.js";
import { load } from "../../state/target.js";

const NONE = { model_name: null, adapter_path: null, training_id: null, iteration: null };

/** Ask for a model; resolves with what `/api/model/load` takes, undefined where none was chosen. */
export async function chooseTarget(title) {
  const wish = { words: "", found: null, open: null, checkpoints: null };
  const dialog = openDialog({ title, wide: true, body: (self) => body(wish, self) });
  try {
    wish.found = await get("/api/models");
    dialog.draw();
  } catch (error) {
    dialog.close();
    toastError(error, "The models could not be listed");
  }
  return dialog.closed;
}

/** Load it, asking back where memory seems too short. Resolves with whether it is being loaded. */
export async function loadTarget(target) {
  try {
    await load(target);
  } catch (error) {
    if (error.code !== "OUT_OF_MEMORY") throw error;
    const yes = await confirm({ title: "Memory may be too short", text: `${error.message}. ${error.suggestion}`, yes: "Load it all the same", tone: "bad" });
    if (!yes) return false;
    await load(target, { force: true });
  }
  return true;
}

function body(wish, dialog) {
  if (!wish.found) return skeleton(6);
  const { cached_models: base, cpt_models: cpt, ift_models: ift, published_models: published } = wish.found;
  const words = wish.words.toLowerCase();
  const has = (...texts) => texts.join(" ").toLowerCase().includes(words);
  const trained = [...ift, ...cpt].filter((m) => has(m.name, m.training_id, runOf(m)?.name, runOf(m)?.model_name, runOf(m)?.dataset));
  const groups = [
    ["Published models", published.filter((m) => has(m.name)).map((m) => plain(m.name, `models/${m.path}`, m, dialog))],
    ["Trained adapters", trained.map((m) => adapter(m, wish, dialog))],
    ["Base models", base.filter((m) => has(m.name)).map((m) => plain(model({ model_name: m.name }), m.name, m, dialog))],
  ].filter(([, items]) => items.length);
  return html`
    ${searchField({ name: "models", label: "Search models", value: wish.words, change: (text) => ((wish.words = text), dialog.draw()) })}
    ${groups.length ? groups.map(([name, items]) => html`<section class="picks"><h3>${name}</h3><ul>${items}</ul></section>`)
      : empty({ icon: "model", title: words ? "No model is called like that" : "There is no model yet",
        text: words ? "Change what you search for." : "Download one, or start the built-in demo, which brings one along.",
        actions: words ? nothing : html`<a class="button primary" href="/models" @click=${() => dialog.close()}>To the models</a>` })}`;
}

const runOf = ({ training_id: id }) => runs.value?.runs.find((run) => run.id === id);

const plain = (name, full, { size_gb: size, created_at: created }, dialog) => html`
  <li><button class="pick" @click=${() => dialog.close({ ...NONE, model_name: full })}>
    ${icon("model")}<span><b>${name}</b><small>${full}</small></span>
    <small>${gigabytes(size)}${created ? ` · ${ago(created)}` : ""}</small>
  </button></li>`;

function adapter(found, wish, dialog) {
  const run = runOf(found);
  const isOpen = wish.open === found.training_id;
  return html`
    <li>
      <button class="pick" aria-expanded=${isOpen ? "true" : "false"} @click=${action(() => showCheckpoints(found, wish, dialog))}>
        ${icon("runs")}<span><b>${run ? title(run) : found.name}</b><small>${found.training_id}${run?.name ? ` · ${model(run)}` : ""}</small></span>
        <small>${run?.validation_loss == null ? nothing : `validation loss ${loss(run.validation_loss)} · `}${ago(found.created_at)}</small>
        ${icon(isOpen ? "down" : "right")}
      </button>
      ${isOpen && wish.checkpoints ? html`<ul class="checkpoints">${wish.checkpoints.map((c) => checkpoint(c, found, dialog))}</ul>` : nothing}
    </li>`;
}

async function showCheckpoints(found, wish, dialog) {
  wish.open = wish.open === found.training_id ? null : found.training_id;
  wish.checkpoints = null;
  dialog.draw();
  if (!wish.open) return;
  const { checkpoints, run } = await get(path`/api/runs/${found.training_id}`);
  wish.checkpoints = checkpoints.filter(({ problem }) => !problem).map((c) => ({ ...c, base: run.model_name }));
  dialog.draw();
}

const checkpoint = (c, { training_id }, dialog) => html`
  <li><button class="pick" @click=${() => dialog.close({ ...NONE, model_name: c.base, training_id, iteration: c.iteration })}>
    <span>Iteration ${count(c.iteration)}${c.is_best ? html` <span class="badge" data-tone="good">Best</span>` : nothing}</span>
    <small>${c.validation_loss == null ? "not validated" : `validation loss ${loss(c.validation_loss)}`}</small>
  </button></li>`;
