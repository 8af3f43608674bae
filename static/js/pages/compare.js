// Several runs side by side: their curves over each other, how they rank, how steadily and generally they learnt, and
// where their settings differ.

import { html, nothing, render } from "lit-html";
import { setQuery } from "../frame/router.js";
import { toast } from "../frame/toasts.js";
import { action, save } from "../parts/action.js";
import { Chart } from "../parts/chart.js";
import { chartTools, chartWish, csv, fileName, keepChartWish, saveButton } from "../parts/chart_tools.js";
import { empty } from "../parts/empty.js";
import { count, duration, gigabytes, loss, MISSING, model, rate, sentence, setting, short, state, tick, title } from "../parts/format.js";
import { icon } from "../parts/icons.js";
import { openDialog } from "../parts/dialog.js";
import { badge, card, pageHead } from "../parts/page.js";
import { skeleton } from "../parts/progress.js";
import { table } from "../parts/table.js";
import { smoothed } from "../parts/thin.js";
import { get, query } from "../state/api.js";
import { isActive, runs, trains } from "../state/runs.js";
import { Store, watch } from "../state/store.js";

const MOST = 10;
const POINTS = 1200;
const PAUSE = 5000;
const COLOURS = 6;
const short5 = (value) => tick(Number(value.toPrecision(5)));
const MEASURES = [
  { value: "training_loss", label: "Training loss", axis: "nats per token", format: loss, noisy: true },
  { value: "validation_loss", label: "Validation loss", axis: "nats per token", format: loss },
  { value: "general_validation_loss", label: "General data", axis: "nats per token", format: loss },
  { value: "perplexity", label: "Perplexity", axis: "perplexity", format: short5 },
  { value: "learning_rate", label: "Learning rate", axis: "learning rate", format: rate },
  { value: "tokens_per_second", label: "Speed", axis: "tokens/s", format: (value) => count(Math.round(value)), noisy: true },
];
const BANDS = { steady: "good", noisy: "waiting", unstable: "bad", small: "good", moderate: "waiting", large: "bad" };

export async function open({ element, query: asked, signal }) {
  const page = new ComparePage(asked, () => draw(), signal);
  const draw = watch([page.changed, runs], () => render(page.template(), element), signal);
  await page.read();
}

class ComparePage {
  changed = new Store(0);
  #ids;
  #answer = null;
  #wish = { measure: "validation_loss", ...chartWish() };
  #host = document.createElement("div");
  #chart = null;
  #timer = 0;
  #draw;
  #signal;

  constructor(asked, draw, signal) {
    this.#ids = [...new Set((asked.get("runs") ?? "").split(",").filter(Boolean))];
    [this.#draw, this.#signal] = [draw, signal];
  }

  /** Read what is compared, and again for as long as one of the runs goes on. */
  async read() {
    this.#ids = this.#ids.slice(0, MOST);
    setQuery({ runs: this.#ids.join(",") });
    const before = this.#answer?.runs.map(({ id }) => id).join();
    this.#answer = await this.#compared();
    this.changed.set(this.changed.value + 1);
    if (!this.#answer) return;
    if (before !== this.#answer.runs.map(({ id }) => id).join()) this.#build();
    this.#show();
    if (this.#answer.runs.some(isActive)) this.#readLater();
  }

  /** Without the runs that are no more: the others can be compared all the same. */
  async #compared() {
    if (!this.#ids.length) return null;
    try {
      return await get(query("/api/runs/compare", { ids: this.#ids.join(","), points: POINTS }), { signal: this.#signal });
    } catch (error) {
      const gone = error.code === "RUN_NOT_FOUND" ? error.details.run : null;
      if (!this.#ids.includes(gone)) throw error;
      toast(`There is no run ${gone} any more`, { tone: "quiet", detail: "It is left out of the comparison." });
      this.#ids = this.#ids.filter((id) => id !== gone);
      setQuery({ runs: this.#ids.join(",") });
      return this.#compared();
    }
  }

  /** One that fails, as while the server begins anew, is not the last: what is shown stays until the next. */
  #readLater() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#signal.aborted || this.read().catch(() => this.#readLater()), PAUSE);
  }

  template() {
    const add = html`<button class="button ${this.#ids.length ? "" : "primary"}" @click=${() => this.#choose()}>${icon("plus")}Add runs</button>`;
    if (!this.#ids.length) {
      const any = runs.value?.runs.some(trains);
      return [pageHead({ title: "Compare", lead: "What was better, and why" }), empty({
        icon: "compare", title: any ? "Choose the runs to compare" : "No run has trained yet",
        text: "Their curves are drawn over each other, with a ranking and everything in which their settings differ.",
        actions: any ? add : html`<a class="button primary" href="/train">${icon("plus")}Set up a run</a>`,
      })];
    }
    if (!this.#answer) return [pageHead({ title: "Compare" }), skeleton(8)];
    const { runs: compared, warnings, ranking, differences } = this.#answer;
    return html`
      ${pageHead({ title: "Compare", above: html`<a href="/runs">Runs</a>`, lead: `${compared.length} of at most ${MOST} runs`, actions: add })}
      ${this.#chips(compared)}
      ${warnings.length ? html`<div class="notice" data-tone="waiting" role="note">${icon("warning")}<div>
        <h2>Not everything can be compared</h2>${warnings.map((text) => html`<p>${text}</p>`)}</div></div>` : nothing}
      ${card({ title: "Curves", body: html`${this.#tools()}${this.#host}` })}
      ${card({ title: "Ranking", note: ranking ? "by the best checkpoint's validation loss" : nothing, kind: "flush", body: this.#ranking(compared, ranking) })}
      ${card({ title: "What came of them", kind: "flush", body: measured(compared) })}
      ${card({ title: "Where their settings differ", kind: "flush", body: different(compared, differences) })}`;
  }

  #chips(compared) {
    return html`<ul class="chips" aria-label="What is compared">${compared.map((run, n) => html`
      <li data-colour=${colourOf(n)}><i></i><a href="/runs/${encodeURIComponent(run.id)}">${title(run)}</a>
        <small class="quiet">No. ${run.number}</small>
        <button class="icon-button" aria-label="Leave out ${title(run)}, number ${run.number}" @click=${action(() => this.#leaveOut(run))}>${icon("close")}</button></li>`)}</ul>`;
  }

  async #leaveOut({ id, number }) {
    this.#ids = this.#ids.filter((one) => one !== id && one !== String(number));
    await this.read();
  }

  #tools() {
    return chartTools({
      wish: this.#wish,
      measures: MEASURES,
      change: (values) => {
        Object.assign(this.#wish, values);
        keepChartWish(this.#wish);
        if (values.measure) this.#build();
        this.#chart.set(this.#wish);
        this.#show();
        this.#draw();
      },
      saves: html`
        ${saveButton("PNG", action(async () => save(await this.#chart.png(`${this.#measure().label} of ${this.#answer.runs.length} runs`), `${fileName("compared", this.#wish.measure)}.png`)), "The chart as it is shown")}
        ${saveButton("CSV", action(() => this.#table()), "The curves as they are drawn")}`,
    });
  }

  #measure() {
    return MEASURES.find(({ value }) => value === this.#wish.measure);
  }

  #build() {
    this.#chart?.destroy();
    const element = document.createElement("div");
    this.#host.replaceChildren(element);
    const { axis, format, label, noisy } = this.#measure();
    this.#chart = new Chart(element, {
      label,
      series: this.#answer.runs.map((run, n) => ({
        name: `${title(run)} (${run.number})`, brief: `No. ${run.number}`, colour: colourOf(n), sparse: true, width: noisy ? 1.5 : 2, dash: n < COLOURS ? undefined : [6, 4],
      })),
      y: { label: axis, format },
      height: 380,
    }, this.#signal);
    this.#chart.set(this.#wish);
  }

  /** The curves over the iterations of all of them; null where a run was not measured. */
  #columns() {
    const curves = this.#answer.runs.map((run) => run.curves[this.#wish.measure] ?? []);
    const x = [...new Set(curves.flatMap((curve) => curve.map(({ iteration }) => iteration)))].sort((a, b) => a - b);
    const columns = curves.map((curve) => {
      const known = new Map(curve.map(({ iteration, value }) => [iteration, value]));
      return x.map((iteration) => known.get(iteration) ?? null);
    });
    return { x, columns };
  }

  #show() {
    const { x, columns } = this.#columns(), { noisy } = this.#measure();
    this.#chart.show({ x, columns: columns.map((column) => (noisy ? smoothed(column, this.#wish.smooth) : column)) });
  }

  #table() {
    const { x, columns } = this.#columns();
    save(csv(["iteration", ...this.#answer.runs.map(({ id }) => id)], [x, ...columns]), `${fileName("compared", this.#wish.measure)}.csv`, "text/csv");
  }

  #ranking(compared, ranking) {
    if (!ranking) return html`<p class="quiet inset">No ranking: the runs were not validated on the same text.</p>`;
    if (!ranking.length) return html`<p class="quiet inset">No checkpoint was saved yet.</p>`;
    const run = ({ id }) => compared.find((one) => one.id === id);
    return table({
      label: "Ranking", rows: ranking, key: ({ id }) => id,
      columns: [
        { key: "run", label: "Run", cell: (place) => named(compared, run(place)) },
        { key: "rank", label: "Rank", kind: "tight", cell: ({ rank: at }) => (at <= 3 ? html`<span class="rank">${at}</span>` : at) },
        { key: "loss", label: "Validation loss", kind: "number", cell: (place) => loss(place.validation_loss) },
        { key: "perplexity", label: "Perplexity", kind: "number", cell: (place) => (run(place).best_perplexity === null ? MISSING : short5(Math.exp(place.validation_loss))) },
        { key: "at", label: "At iteration", kind: "number", cell: (place) => count(place.iteration) },
        { key: "remark", label: "Remark", cell: (place) => (place.rank === 1 ? badge("Best", "good")
          : place.tied_with_best ? html`<span class="quiet" title="Within one standard error of the best">As good as the best</span>` : nothing) },
      ],
    });
  }

  #choose() {
    const wish = new Set(this.#ids);
    const all = (runs.value?.runs ?? []).filter(trains);
    const byId = (id) => all.find((run) => run.id === id || String(run.number) === id)?.id ?? id;
    const chosen = new Set([...wish].map(byId));
    openDialog({
      title: "Runs to compare",
      body: ({ draw }) => all.length
        ? html`<ul class="choose-runs">${all.map((run) => html`<li><label>
          <input type="checkbox" .checked=${chosen.has(run.id)} ?disabled=${!chosen.has(run.id) && chosen.size >= MOST}
            @change=${(event) => { chosen[event.target.checked ? "add" : "delete"](run.id); draw(); }}>
          <span><b>${title(run)}</b><small class="quiet">No. ${run.number} · ${state(run)} · ${loss(run.validation_loss)}</small></span></label></li>`)}</ul>`
        : empty({ icon: "runs", title: "No run has trained yet", text: "Start one, then compare it with others.", level: 3 }),
      actions: ({ close }) => html`
        <button class="button" @click=${() => close(false)}>Cancel</button>
        <button class="button primary" ?disabled=${!chosen.size} @click=${() => close(true)}>Compare ${chosen.size || ""}</button>`,
    }).closed.then(action(async (yes) => {
      if (yes !== true) return;
      this.#ids = [...chosen];
      await this.read();
    }));
  }
}

const colourOf = (n) => `curve-${1 + (n % COLOURS)}`;

const named = (compared, run) => html`<span class="compared" data-colour=${colourOf(compared.indexOf(run))}><i></i>
  <span>${title(run)}<small class="quiet">No. ${run.number} · ${state(run)}</small></span></span>`;

/** One row for each run. */
function measured(compared) {
  const banded = (value, band, words) => (value === null ? MISSING : html`${words} ${badge(sentence(band), BANDS[band])}`);
  return table({
    label: "What came of the runs", rows: compared, key: ({ id }) => id,
    columns: [
      { key: "run", label: "Run", cell: (run) => named(compared, run) },
      { key: "before", label: "Before", kind: "number", cell: (run) => loss(run.initial_validation_loss), hint: "Validation loss before training" },
      { key: "best", label: "Best", kind: "number", cell: (run) => loss(run.best_validation_loss), hint: "Validation loss of the best checkpoint" },
      { key: "stability", label: "Stability", kind: "number", hint: "Coefficient of variation of the last 50 training losses around their trend",
        cell: (run) => banded(run.variation, run.variation_band, `${(100 * (run.variation ?? 0)).toFixed(1)} %`) },
      { key: "gap", label: "Generalization gap", kind: "number", hint: "Validation loss minus the training loss before it",
        cell: (run) => banded(run.generalization_gap, run.generalization_band, (run.generalization_gap ?? 0).toFixed(3)) },
      { key: "speed", label: "Tokens/s", kind: "number", wide: true, cell: (run) => (run.tokens_per_second === null ? MISSING : count(Math.round(run.tokens_per_second))) },
      { key: "memory", label: "Memory", kind: "number", wide: true, cell: (run) => (run.peak_memory_gb === null ? MISSING : gigabytes(run.peak_memory_gb)) },
      { key: "tokens", label: "Tokens", kind: "number", wide: true, hint: "Tokens it trained on", cell: (run) => (run.trained_tokens === null ? MISSING : short(run.trained_tokens)) },
      { key: "time", label: "Time", kind: "number", wide: true, cell: (run) => duration(run.training_seconds) },
    ],
  });
}

/** One row for each setting that is not the same everywhere. */
function different(compared, differences) {
  if (compared.length < 2) return html`<p class="quiet inset">Add another run to see where they differ.</p>`;
  if (!differences.length) return html`<p class="quiet inset">All settings are the same.</p>`;
  return table({
    label: "Different settings", rows: differences, key: ({ field }) => field,
    columns: [
      { key: "field", label: "Setting", cell: ({ field }) => sentence(field.replaceAll("_", " ")) },
      ...compared.map((run, n) => ({
        key: run.id, kind: "number", cell: ({ field, values }) => (field === "model_name" ? model({ model_name: values[n] ?? "" }) : setting(values[n])),
        label: html`<span class="compared" data-colour=${colourOf(n)}><i></i>No. ${run.number}</span>`,
      })),
    ],
  });
}
