// All runs of the workspace, of every kind: searching, choosing some to compare, naming and deleting them, the queue.

import { html, nothing, render } from "lit-html";
import { bind } from "../frame/keys.js";
import { go, setQuery } from "../frame/router.js";
import { agreed } from "../frame/status.js";
import { toast } from "../frame/toasts.js";
import { action } from "../parts/action.js";
import { empty } from "../parts/empty.js";
import { searchField, segmented, selectField } from "../parts/fields.js";
import { ago, count, iterations, kind, loss, MISSING, model, moment, plural, state, title, tone } from "../parts/format.js";
import { icon } from "../parts/icons.js";
import { menu } from "../parts/menu.js";
import { badge, pageHead } from "../parts/page.js";
import { skeleton } from "../parts/progress.js";
import { canRemove, describeRun, placeInQueue, queueItems, removeRuns } from "../parts/run_actions.js";
import { sparkline } from "../parts/sparkline.js";
import { sorter, table } from "../parts/table.js";
import { History, readHistory } from "../state/history.js";
import { canResume, command, isActive, runs, trains } from "../state/runs.js";
import { Store, watch } from "../state/store.js";

const MOST = 10;
const POINTS = 60;
const SHOWN = {
  all: () => true,
  active: isActive,
  good: (run) => ["completed", "early_stopped"].includes(run.state),
  bad: (run) => ["failed", "interrupted"].includes(run.state),
};
const CHOICES = [
  { value: "all", label: "All" },
  { value: "active", label: "Going on" },
  { value: "good", label: "Completed" },
  { value: "bad", label: "Failed" },
];
const KINDS = [
  { value: "", label: "Every kind" }, { value: "cpt", label: "CPT" }, { value: "ift", label: "IFT" },
  { value: "publish", label: "Publishing" }, { value: "evaluate", label: "Evaluation" },
  { value: "quantize", label: "Quantizing" }, { value: "export", label: "Export" }, { value: "push", label: "Push to the Hub" },
];

export function open({ element, query, signal }) {
  const page = new RunsPage(query, () => draw());
  const draw = watch([runs, page.curves.drawn], () => render(page.template(), element), signal);
  watch([runs], () => page.curves.read(signal), signal);
  bind("/", { title: "Search the runs", run: () => element.querySelector("input[type=search]")?.focus() }, signal);
  bind("c", { title: "Compare the chosen runs", run: () => page.compare() }, signal);
}

class RunsPage {
  curves = new Curves();
  #wish;
  #chosen = new Set();
  #sorting;
  #draw;
  #menus = new Map();

  constructor(query, draw) {
    this.#draw = draw;
    this.#sorting = sorter({ draw });
    this.#wish = { words: query.get("q") ?? "", only: query.get("state") ?? "all", kind: query.get("kind") ?? "" };
  }

  template() {
    if (!runs.value) return [pageHead({ title: "Runs" }), skeleton(8)];
    const { runs: list, total } = runs.value;
    if (!total) return [pageHead({ title: "Runs", lead: "What was trained, published and measured" }), none];
    const found = this.#found(list);
    const lead = total > list.length ? `The newest ${count(list.length)} of ${count(total)}` : plural(total, "run");
    return html`
      ${pageHead({ title: "Runs", lead, actions: html`<a class="button primary" href="/train">${icon("plus")}New run</a>` })}
      ${this.#tools()}
      ${this.#selection(list)}
      ${found.length ? html`<div class="card flush runs-list">${this.#table(found)}</div>`
        : empty({ icon: "search", title: "No run is like that", text: "Change what you search for.",
          actions: html`<button class="button" @click=${() => this.#change({ words: "", only: "all", kind: "" })}>Show all runs</button>` })}`;
  }

  compare() {
    if (this.#chosen.size) go(`/compare?runs=${[...this.#chosen].map(encodeURIComponent).join(",")}`);
  }

  #found(list) {
    const words = this.#wish.words.toLowerCase().split(/\s+/).filter(Boolean);
    const text = (run) => `${title(run)} ${model(run)} ${run.dataset ?? ""} ${run.id} ${kind(run)} ${run.tags.join(" ")}`.toLowerCase();
    return list.filter((run) => (SHOWN[this.#wish.only] ?? SHOWN.all)(run)
      && (!this.#wish.kind || run.kind === this.#wish.kind) && words.every((word) => text(run).includes(word)));
  }

  #tools() {
    const { words, only, kind: of } = this.#wish;
    return html`<div class="tools runs-tools">
      ${searchField({ label: "Search runs", value: words, change: (text) => this.#change({ words: text }) })}
      ${segmented({ name: "only", label: "Which runs", value: only, choices: CHOICES, change: (value) => this.#change({ only: value }) })}
      <div class="runs-kind">${selectField({ name: "kind", label: html`<span class="unseen">Kind</span>`, value: of, choices: KINDS, change: (value) => this.#change({ kind: value }) })}</div>
    </div>`;
  }

  #change(values) {
    Object.assign(this.#wish, values);
    const { words, only, kind: of } = this.#wish;
    setQuery({ q: words, state: only === "all" ? null : only, kind: of });
    this.#draw();
  }

  /** Of a fixed height, so that nothing moves when the first run is chosen. */
  #selection(list) {
    const chosen = list.filter(({ id }) => this.#chosen.has(id));
    if (!chosen.length) return html`<div class="selection quiet">Choose runs to compare them.</div>`;
    const removable = chosen.every(canRemove);
    return html`<div class="selection on" role="status">
      <span>${plural(chosen.length, "run")} chosen</span>
      <button class="button small primary" ?disabled=${chosen.length > MOST || !chosen.every(trains)}
        title=${chosen.length > MOST ? `At most ${MOST}` : nothing} @click=${() => this.compare()}>${icon("compare")}Compare</button>
      <button class="button small" ?disabled=${!removable} title=${removable ? nothing : "Runs that go on or wait cannot be deleted"}
        @click=${action(() => this.#remove(chosen), { failed: "Not everything was deleted" })}>${icon("trash")}Delete</button>
      <button class="button small" @click=${() => { this.#chosen.clear(); this.#draw(); }}>Choose none</button>
    </div>`;
  }

  async #remove(list) {
    await removeRuns(list);
    for (const { id } of list) this.#chosen.delete(id);
    this.#draw();
  }

  #table(rows) {
    const columns = [
      { key: "title", label: "Run", cell: name, sort: title },
      { key: "chosen", label: html`<span class="unseen">Chosen</span>`, kind: "tight", cell: (run) => this.#choice(run) },
      { key: "state", label: "State", cell: stateOf, sort: state },
      { key: "curve", label: "Loss", kind: "tight", wide: true, cell: (run) => html`<span class="runs-curve">${this.curves.of(run)}</span>` },
      { key: "iterations", label: "Iterations", kind: "number", wide: true, cell: (run) => (trains(run) ? iterations(run) : MISSING), sort: (run) => (trains(run) ? run.iteration : null) },
      { key: "validation", label: "Validation", kind: "number", cell: (run) => loss(run.validation_loss), sort: (run) => run.validation_loss, hint: "The latest validation loss" },
      { key: "created", label: "Begun", kind: "number", wide: true, cell: (run) => html`<span title=${moment(run.created)}>${ago(run.created)}</span>`, sort: (run) => run.created },
      { key: "menu", label: html`<span class="unseen">More</span>`, kind: "tight", cell: (run) => menu({ label: `More about ${title(run)}`, items: this.#items(run) }) },
    ];
    return table({
      label: "Runs", columns, rows, sorting: this.#sorting, key: (run) => run.id,
      href: (run) => `/runs/${encodeURIComponent(run.id)}`, mark: (run) => (this.#chosen.has(run.id) ? "chosen" : ""),
    });
  }

  #choice(run) {
    if (!trains(run)) return nothing;
    const choose = (event) => {
      if (event.target.checked) this.#chosen.add(run.id);
      else this.#chosen.delete(run.id);
      this.#draw();
    };
    return html`<label class="runs-choice"><input type="checkbox" .checked=${this.#chosen.has(run.id)} aria-label="Choose ${title(run)}, number ${run.number}" @change=${choose}></label>`;
  }

  /** One array, one menu: made anew only where what can be done is another. */
  #items(run) {
    const known = this.#menus.get(run.id);
    const key = `${run.state} ${run.name} ${placeInQueue(run) && runs.value.waiting}`;
    if (known?.key === key) return known.items;
    const say = (verb, failed) => action(async () => toast(await command(verb, run.id)), { failed });
    const items = [
      { label: "Name and notes", icon: "edit", run: action(() => describeRun(run)) },
      run.state === "running" && trains(run) && { label: "Pause", icon: "pause", run: say("pause", "The run was not paused") },
      canResume(run) && { label: "Resume", icon: "play", run: say("resume", "The run does not go on") },
      ["running", "pending"].includes(run.state) && {
        label: run.state === "pending" ? "Take out of the queue" : "Stop", icon: "stop",
        run: action(async () => await agreed(run) && toast(await command("stop", run.id)), { failed: "The run was not stopped" }),
      },
      ...queueItems(run),
      trains(run) && { label: "Train again with changes", icon: "train", run: () => go(`/train?from=${encodeURIComponent(run.id)}`) },
      canRemove(run) && { label: "Delete", icon: "trash", tone: "bad", run: action(() => this.#remove([run]), { failed: "The run was not deleted" }) },
    ];
    this.#menus.set(run.id, { key, items });
    return items;
  }
}

/** The small curves, read one after another, the first rows first; again when a run has gone on. */
class Curves {
  drawn = new Store(0);
  #known = new Map();
  #reading = false;

  of({ id }) {
    return this.#known.get(id)?.picture ?? nothing;
  }

  async read(signal) {
    if (this.#reading || !runs.value) return;
    this.#reading = true;
    for (const run of runs.value.runs.filter(trains)) {
      const mark = `${run.state} ${Math.floor(run.progress_percentage / 4)}`;
      if (signal.aborted) break;
      if (this.#known.get(run.id)?.mark === mark || !run.iteration) continue;
      const { columns } = await readHistory(run.id, { points: POINTS, signal }).catch(() => new History());
      this.#known.set(run.id, { mark, picture: sparkline(columns.training_loss, { label: "Training loss", width: 88, height: 28 }) });
      this.drawn.set(this.drawn.value + 1);
    }
    this.#reading = false;
  }
}

function name(run) {
  const tags = run.tags.map((tag) => html` <span class="tag">${tag}</span>`);
  const about = run.name ? [model(run), run.dataset].filter(Boolean).join(" on ") : run.dataset ? `on ${run.dataset}` : "";
  return html`<b>${run.name || model(run)}</b>${tags}<small title=${about}>No. ${run.number} · ${kind(run)} ${about}</small>`;
}

function stateOf(run) {
  const place = placeInQueue(run), hint = run.problem ?? nothing;
  if (!place) return badge(state(run), tone(run), hint);
  return html`${badge("In the queue", "quiet", hint)} <small class="quiet">${place}</small>`;
}

const none = empty({
  icon: "runs",
  title: "No runs yet",
  text: "Whatever you train, publish or measure is listed here, with everything that was measured on the way.",
  actions: html`<a class="button primary" href="/">See how to begin</a>`,
});
