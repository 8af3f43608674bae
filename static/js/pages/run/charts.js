// The charts of a run: losses or perplexity, and below them what changes slowly. All of them share cursor and zoom.

import { html } from "lit-html";
import { Chart } from "../../parts/chart.js";
import { chartTools, chartWish, csv, fileName, keepChartWish, saveButton } from "../../parts/chart_tools.js";
import { action, save } from "../../parts/action.js";
import { count, gigabytes, loss, rate, tick, title } from "../../parts/format.js";
import { card } from "../../parts/page.js";
import { smoothed } from "../../parts/thin.js";
import { MEASURED } from "../../state/history.js";
import { isActive } from "../../state/runs.js";

const LOSSES = ["training_loss", "validation_loss", "general_validation_loss"];
const NAMES = ["Training", "Validation", "On general data"];
const MEASURES = [
  { value: "loss", label: "Loss" },
  { value: "perplexity", label: "Perplexity", hint: "exp(loss): among how many tokens the model hesitates" },
];
const SMALL = [
  { key: "learning_rate", name: "Learning rate", colour: "curve-4", format: rate },
  { key: "tokens_per_second", name: "Speed", unit: "tokens/s", colour: "curve-1", format: (value) => count(Math.round(value)), smooth: true },
  { key: "memory_usage_gb", name: "Memory", unit: "GB", colour: "curve-3", format: gigabytes, zero: true },
  { key: "gradient_norm", name: "Gradient norm", colour: "curve-6", format: (value) => tick(Number(value.toPrecision(4))), smooth: true },
];
const OF_PREFERENCES = [
  { key: "reward_margin", name: "Reward margin", colour: "curve-5", format: (value) => tick(Number(value.toPrecision(4))), smooth: true },
  { key: "reward_accuracy", name: "Pairs preferred", colour: "curve-2", format: (value) => `${Math.round(100 * value)} %`, zero: true, smooth: true },
];
// Beyond it a perplexity says nothing, and flattens what does.
const HIGHEST = 1e6;
const REST = 150;

export class RunCharts {
  #watched;
  #signal;
  #wish;
  #prefers;
  #losses;
  #draw;
  #changes = null;
  #rest = null;
  #waits = false;
  #drawnAt = 0;
  #cost = 0;
  #host = document.createElement("div");
  #main = null;
  #small;

  /** `draw` draws the page again. Ends with `signal`. */
  constructor(watched, draw, signal) {
    [this.#watched, this.#draw, this.#signal] = [watched, draw, signal];
    // The loss of preferences is one of pairs, and has no perplexity.
    this.#prefers = watched.details.value.spec.objective === "dpo";
    this.#losses = watched.details.value.spec.general_dataset ? LOSSES : LOSSES.slice(0, 2);
    this.#wish = { measure: "loss", ...chartWish(), ...(this.#prefers && { measure: "loss" }) };
    this.#build();
    this.#small = [...(this.#prefers ? OF_PREFERENCES : []), ...SMALL].map((curve) => {
      const element = document.createElement("div");
      const options = {
        label: curve.name,
        series: [{ name: curve.name, colour: curve.colour }],
        x: { label: "iteration", format: count, bare: true },
        y: { label: curve.unit, format: curve.format, zero: curve.zero },
        group: "run",
        height: 140,
      };
      return { ...curve, element, chart: new Chart(element, options, signal) };
    });
    this.#main.set(this.#wish);
    for (const { chart } of this.#small) chart.set({ clip: this.#wish.clip });
  }

  /**
   * What there is to draw has changed. Drawing takes a tenth of the time at most: of 200,000 points another one is not
   * seen, and the page stays quick.
   */
  show() {
    if (this.#waits) return;
    const pause = this.#drawnAt + 10 * this.#cost - performance.now();
    this.#waits = true;
    const now = () => {
      this.#waits = false;
      if (!this.#signal.aborted) this.#show();
    };
    if (pause > 20) setTimeout(now, pause);
    else now();
  }

  #show() {
    const begun = performance.now();
    this.#showLosses();
    for (const { key, chart, smooth: noisy } of this.#small) this.#showSmall(key, chart, noisy);
    this.#drawnAt = performance.now();
    this.#cost = this.#drawnAt - begun;
  }

  #showLosses() {
    const { history } = this.#watched;
    const [training, ...measured] = this.#losses.map((key) => this.#scaled(history.columns[key]));
    const { smooth } = this.#wish;
    this.#main.show({
      x: history.iteration, edition: history.edition, ahead: this.#ahead(), marks: this.#marks(),
      columns: [smooth ? training : [], smoothed(training, smooth), ...measured],
    });
  }

  #showSmall(key, chart, noisy) {
    const { iteration: x, columns, edition } = this.#watched.history;
    chart.show({ x, edition, ahead: this.#ahead(), columns: [noisy ? smoothed(columns[key], this.#wish.smooth) : columns[key]] });
  }

  template() {
    const { run } = this.#watched.details.value;
    const tools = chartTools({
      wish: this.#wish,
      measures: this.#prefers ? MEASURES.slice(0, 1) : MEASURES,
      change: (values) => this.#change(values),
      saves: html`
        ${saveButton("PNG", action(() => this.#picture(run), { failed: "No picture was made" }), "The chart as it is shown")}
        ${saveButton("CSV", action(() => this.#table(run)), "Everything that was measured at each iteration")}`,
    });
    return [
      card({ title: this.#wish.measure === "loss" ? "Losses" : "Perplexity", body: html`${tools}${this.#host}` }),
      html`<div class="small-charts">${this.#small.map(({ name, element }) =>
        html`<section class="card" aria-label=${name}>${element}</section>`)}</div>`,
    ];
  }

  #change(values) {
    Object.assign(this.#wish, values);
    keepChartWish(this.#wish);
    if (values.measure) this.#build();
    this.#draw();
    // A slider tells of more values than there are frames.
    if (!this.#changes) requestAnimationFrame(() => this.#redraw());
    this.#changes = { ...this.#changes, ...values };
  }

  #redraw() {
    const changes = this.#changes;
    this.#changes = null;
    if (this.#signal.aborted) return;
    if ("log" in changes || "clip" in changes || "measure" in changes) this.#main.set(this.#wish);
    this.#showLosses();
    if ("clip" in changes) for (const { chart } of this.#small) chart.set({ clip: this.#wish.clip });
    // The others once the slider rests: who drags it looks at the losses.
    clearTimeout(this.#rest);
    if ("smooth" in changes) this.#rest = setTimeout(() => this.#signal.aborted || this.#showNoisy(), REST);
  }

  #showNoisy() {
    for (const { key, chart, smooth } of this.#small) if (smooth) this.#showSmall(key, chart, smooth);
  }

  /** Made anew where what is drawn changes: axis, format and name are another's then. */
  #build() {
    const perplexity = this.#wish.measure === "perplexity";
    this.#main?.destroy();
    const element = document.createElement("div");
    this.#host.replaceChildren(element);
    this.#main = new Chart(element, {
      label: perplexity ? "Perplexity" : "Losses",
      series: [
        { name: "Training, not smoothed", colour: "curve-1-faint", width: 1, silent: true },
        { name: NAMES[0], colour: "curve-1", width: 1.5 },
        { name: NAMES[1], colour: "curve-2", sparse: true },
        ...(this.#losses === LOSSES ? [{ name: NAMES[2], colour: "curve-3", sparse: true, dash: [6, 4] }] : []),
      ],
      y: perplexity
        ? { label: "perplexity", format: (value) => tick(Number(value.toPrecision(5))) }
        : { label: this.#prefers ? "nats per pair" : "nats per token", format: loss },
      group: "run",
      height: 340,
    }, this.#signal);
  }

  #scaled(column) {
    if (this.#wish.measure === "loss") return column;
    return column.map((value) => {
      const found = value === null ? null : Math.exp(value);
      return found === null || found > HIGHEST ? null : found;
    });
  }

  #ahead() {
    const { run } = this.#watched.details.value;
    if (!isActive(run)) return null;
    return Math.min(run.total_iterations ?? 0, 1.6 * (this.#watched.history.iteration.at(-1) ?? Infinity));
  }

  #marks() {
    const { run, checkpoints } = this.#watched.details.value, x = this.#watched.history.iteration;
    const best = checkpoints.find(({ is_best }) => is_best);
    const [y] = this.#scaled([best?.validation_loss ?? null]);
    const marks = y === null ? [] : [{ x: best.iteration, y, label: "best", tone: "accent" }];
    if (run.state === "failed" && x.length) marks.push({ x: x.at(-1), label: "failed", tone: "bad" });
    return marks;
  }

  async #picture(run) {
    const name = `${title(run)}, run ${run.number}`;
    save(await this.#main.png(name), `${fileName(run.id, this.#wish.measure)}.png`);
  }

  #table(run) {
    const { iteration, columns } = this.#watched.history;
    save(csv(["iteration", ...MEASURED], [iteration, ...MEASURED.map((key) => columns[key])]), `${fileName(run.id)}.csv`, "text/csv");
  }
}
