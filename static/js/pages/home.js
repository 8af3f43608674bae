// Where one begins: three steps until the first run is done, then what was trained last, the model and the disk.

import { html, nothing, render } from "lit-html";
import { go } from "../frame/router.js";
import { action } from "../parts/action.js";
import { ago, count, gigabytes, kind, loss, megabytes, model, plural, state, title, tone } from "../parts/format.js";
import { icon } from "../parts/icons.js";
import { badge, card, pageHead } from "../parts/page.js";
import { meter, skeleton } from "../parts/progress.js";
import { sparkline } from "../parts/sparkline.js";
import { get, post } from "../state/api.js";
import { health, resident } from "../state/health.js";
import { History, readHistory } from "../state/history.js";
import { isActive, runs, trains } from "../state/runs.js";
import { Store, watch } from "../state/store.js";

const RECENT = 6;
const ENDED = {
  completed: "is completed", early_stopped: "ended when it got no better", stopped: "was stopped",
  failed: "failed", interrupted: "was cut off", paused: "is paused",
};
const POINTS = 60;

export async function open({ element, signal }) {
  const home = { models: new Store(null), datasets: new Store(null), curves: new Map(), drawn: new Store(0) };
  watch([runs, health, resident, home.models, home.datasets, home.drawn], () => render(page(home), element), signal);
  watch([runs], () => readCurves(home, signal), signal);
  const read = async () => {
    const [models, datasets] = await Promise.all([get("/api/models", { signal }), get("/api/dataset/info", { signal })]);
    home.models.set(models);
    home.datasets.set(datasets.datasets);
  };
  // Whoever comes back may have put a folder there.
  addEventListener("focus", () => read().catch(() => {}), { signal });
  await read();
}

/** The loss of each recent run, read once and again when it has gone on. */
async function readCurves(home, signal) {
  for (const run of recent()) {
    const mark = `${run.state} ${Math.floor(run.progress_percentage / 5)}`;
    if (!trains(run) || home.curves.get(run.id)?.mark === mark) continue;
    home.curves.set(run.id, { ...home.curves.get(run.id), mark });
    const { columns } = await readHistory(run.id, { points: POINTS, signal }).catch(() => new History());
    home.curves.set(run.id, { mark, values: columns.training_loss.filter((v) => v !== null) });
    home.drawn.set(home.drawn.value + 1);
  }
}

const recent = () => (runs.value?.runs ?? []).slice(0, RECENT);

function page(home) {
  const ready = runs.value && home.models.value && home.datasets.value;
  if (!ready) return html`${pageHead({ title: "Home" })}${skeleton(8)}`;
  const trained = runs.value.runs.some((run) => trains(run) && ["completed", "early_stopped", "stopped"].includes(run.state));
  return trained ? overview(home) : welcome(home);
}

function welcome({ models, datasets }) {
  const bases = models.value.cached_models, sets = datasets.value;
  const running = runs.value.runs.some(trains);
  return html`
    ${pageHead({ title: "Teach a model your own documents", lead: "Three steps, all on this machine. Nothing you bring leaves it." })}
    <ol class="steps">
      ${step(1, { done: bases.length > 0, title: "A model", href: "/models", label: "Choose a model",
        text: bases.length ? `${plural(bases.length, "base model is", "base models are")} here, ${model({ model_name: bases[0].name })} among them.`
          : "The base model that is to learn. Small ones train in minutes." })}
      ${step(2, { done: sets.length > 0, title: "Your data", href: "/data", label: "Add documents",
        text: sets.length ? `${plural(sets.length, "dataset is", "datasets are")} here: ${sets.slice(0, 3).map(({ name }) => name).join(", ")}.`
          : "Documents to read, or questions with their answers. Every row is looked at before it is used." })}
      ${step(3, { done: false, title: "Train", href: "/train", label: "Set up a run",
        text: running ? "A run has begun: its losses are drawn as they come."
          : "Watch the loss fall, keep the checkpoint that is measured to be the best." })}
    </ol>
    ${demo()}`;
}

const step = (number, { done, title: name, text, href, label }) => html`
  <li class="step ${done ? "done" : ""}">
    <span class="step-number">${done ? icon("check") : number}</span>
    <h2>${name}<span class="unseen">${done ? " (done)" : " (to do)"}</span></h2>
    <p>${text}</p>
    <a class="button" href=${href}>${label}</a>
  </li>`;

const demo = () => html`
  <section class="card demo">
    <div>
      <h2>Or see it work first</h2>
      <p>A small built-in model learns an invented town from 36 documents. It takes about a minute on a laptop, needs no
        network, and everything it makes can be looked at, changed and deleted.</p>
    </div>
    <button class="button primary" @click=${action(startDemo, { failed: "The demo was not started" })}>${icon("play")}Start the demo</button>
  </section>`;

async function startDemo() {
  const { training_id: id } = await post("/api/demo");
  runs.refresh();
  go(`/runs/${encodeURIComponent(id)}`);
}

function overview(home) {
  return html`
    ${pageHead({ title: "Home", lead: plural(runs.value.total, "run") + " in this workspace",
      actions: html`<a class="button primary" href="/train">${icon("plus")}New run</a>` })}
    <div class="home">
      ${card({ title: "Recent runs", kind: "flush", actions: html`<a href="/runs">All runs</a>`,
        body: html`<ul class="recent">${recent().map((run) => recentRun(run, home.curves.get(run.id)))}</ul>` })}
      <div class="home-side">${nextCard()}${residentCard()}${diskCard(home)}</div>
    </div>`;
}

const recentRun = (run, curve) => html`
  <li><a class=${trains(run) ? "" : "plain"} href="/runs/${encodeURIComponent(run.id)}">
    <span class="recent-name"><b>${run.name || model(run)}</b><small>${kind(run)}${run.dataset ? ` on ${run.dataset}` : ""} · ${ago(run.created)}</small></span>
    ${trains(run) ? html`<span class="recent-curve">${curve?.values ? sparkline(curve.values, { label: "Training loss", width: 96 }) : nothing}</span>
      <span class="recent-loss">${run.validation_loss === null ? nothing
        : html`${loss(run.validation_loss)}<small>validation loss</small>`}</span>` : nothing}
    ${badge(state(run), tone(run))}
  </a></li>`;

/** What most people do after what was done last. */
function nextCard() {
  // What was taken out of the queue has nothing to go on with.
  const last = runs.value.runs.find((run) => trains(run) && !isActive(run) && (run.iteration || run.state !== "stopped"));
  if (!last) return nothing;
  const of = `/runs/${encodeURIComponent(last.id)}`;
  const trouble = { failed: "See why it failed", interrupted: "Resume it", paused: "Resume it" }[last.state];
  const links = trouble
    ? [["runs", trouble, of]]
    : [["publish", "Publish its best checkpoint", of], ["chat", "Ask it something", `/chat?model=${encodeURIComponent(last.id)}`], ["compare", "Compare it", `/compare?runs=${encodeURIComponent(last.id)}`]];
  return card({
    title: "Next",
    body: html`<p class="quiet">${title(last)} ${ENDED[last.state]}.</p>
      <ul class="next">${links.map(([drawing, words, href]) => html`<li><a href=${href}>${icon(drawing)}${words}${icon("right")}</a></li>`)}</ul>`,
  });
}

function residentCard() {
  const status = resident.value;
  const body = !status
    ? html`<p class="quiet">${health.value?.components.model_server === "crashed"
      ? "The model server crashed. It is being started again."
      : html`No model server runs. <code>forgellm start</code> starts both servers.`}</p>`
    : status.loaded
      ? html`<p><b>${model(status)}</b>${status.adapter_path ? html` <span class="quiet">with an adapter</span>` : nothing}</p>
        <p class="quiet">${gigabytes(status.memory_usage_gb)} of memory${status.context_length ? ` · context of ${count(status.context_length)} tokens` : ""}</p>
        <div class="actions"><a class="button" href="/chat">${icon("chat")}Ask it</a></div>`
      : html`<p class="quiet">${status.is_loading ? `Loading ${model(status)} …` : "No model is loaded."}</p>
        <div class="actions"><a class="button" href="/models">Choose one</a></div>`;
  return card({ title: "Resident model", body });
}

function diskCard({ models, datasets }) {
  const { cached_models: cached, cpt_models, ift_models, published_models } = models.value;
  const sum = (list) => list.reduce((total, { size_gb: size }) => total + size, 0);
  const data = datasets.value.reduce((total, { total_size_mb: size }) => total + size, 0) / 1000;
  const parts = [["Base models", sum(cached)], ["Adapters", sum([...cpt_models, ...ift_models])], ["Published", sum(published_models)], ["Datasets", data]];
  const free = health.value?.system_info.disk_free_gb;
  const most = Math.max(...parts.map(([, size]) => size), 1e-9);
  return card({
    title: "Disk",
    note: free == null ? nothing : `${gigabytes(free)} free`,
    body: html`<dl class="disk-use">${parts.map(([name, size]) => html`
      <div><dt>${name}</dt><dd>${meter({ value: size, max: most, label: name })}<span>${size < 0.001 ? megabytes(size * 1000) : gigabytes(size)}</span></dd></div>`)}</dl>`,
  });
}
