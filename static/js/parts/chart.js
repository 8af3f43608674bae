// A chart over uPlot: curves over one x, with reading by pointer and keyboard, zooming, a legend that switches curves,
// and as many points as the screen can show. Colours come from the theme.

import { html, nothing, render } from "lit-html";
import uPlot from "uplot";
import { colour, recoloured } from "../frame/theme.js";
import { count, MISSING, tick } from "./format.js";
import { Blocks } from "./blocks.js";
import { drawMarks, picture } from "./chart_drawing.js";
import { extent, lowerBound, nearest, thinned } from "./thin.js";

// Between two marks of the x axis: there is no half iteration.
const WHOLE = [...Array(9).keys()].flatMap((power) => [1, 2, 5].map((n) => n * 10 ** power));
const STEPS = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };

export class Chart {
  #options;
  #plot = null;
  #host;
  #legend;
  #data = { x: [], columns: [], blocks: [] };
  #edition = null;
  #marks = [];
  #places = [];
  #range = null;
  #ahead = null;
  #hidden = new Set();
  #reading = null;
  #log = false;
  #clip = false;
  #resized;

  /**
   * `options`: `label`, `series` [{name, brief, colour, sparse, width, dash, area, silent}], `x` and `y` {label, format}, `group`
   * (charts of one group share the cursor and the zoom), `height` in pixels. `colour` is a name of theme.css; a `silent`
   * series is drawn and not spoken of; `brief` is its name in the legend; an `x` that is `bare` has no label; a `y` with `zero` begins there. Ends with
   * `signal`.
   */
  constructor(element, options, signal) {
    this.#options = { x: { label: "iteration", format: count }, height: 300, ...options };
    element.classList.add("chart");
    this.#legend = element.appendChild(document.createElement("ul"));
    this.#legend.className = "legend";
    this.#host = element.appendChild(document.createElement("div"));
    this.#host.className = "plot";
    this.#host.style.setProperty("--height", `${this.#options.height}px`);
    Object.assign(this.#host, { tabIndex: 0, role: "slider", ariaLabel: `${options.label}: read values` });
    this.#host.addEventListener("keydown", (event) => this.#key(event));
    this.#host.addEventListener("blur", () => this.#read(null));
    const resized = new ResizeObserver(() => this.#resize());
    resized.observe(this.#host);
    recoloured.subscribe(() => this.#plot?.redraw(false), signal);
    this.#resized = resized;
    signal.addEventListener("abort", () => this.destroy(), { once: true });
    this.#joinGroup();
    this.#tell();
  }

  /** End before the signal does. */
  destroy() {
    this.#resized.disconnect();
    this.#leaveGroup();
    this.#plot?.destroy();
    this.#plot = null;
  }

  /**
   * Draw `x` and one column per series; null is a gap. `marks`: [{x, y?, label, tone}]. `ahead`: the x up to which the
   * axis reaches though nothing is measured there yet. Arrays of the same `edition` as before have only grown, or changed
   * in their last row.
   */
  show({ x, columns, marks = [], ahead = null, edition = null }) {
    const before = edition !== null && edition === this.#edition ? this.#data : null;
    const blocks = columns.map((column, n) => {
      const known = before?.columns[n] === column ? before.blocks[n] : new Blocks();
      known.update(column);
      return known;
    });
    [this.#data, this.#edition, this.#marks, this.#ahead] = [{ x, columns, blocks }, edition, marks, ahead];
    this.#draw();
  }

  /** A logarithmic axis; or without the few values that stand far apart. */
  set({ log = this.#log, clip = this.#clip }) {
    const rebuilt = log !== this.#log;
    [this.#log, this.#clip] = [log, clip];
    if (rebuilt) this.#rebuild();
    this.#draw();
  }

  /** Show x between two values, all of it for null. */
  zoom(range) {
    for (const chart of this.#group()) {
      chart.#range = range;
      chart.#draw();
    }
    this.#options.zoomed?.(range);
  }

  get zoomed() {
    return this.#range !== null;
  }

  /** The chart as a PNG, with its title and legend, in the colours of the theme. */
  png(title) {
    const shown = this.#options.series.filter(({ silent }, n) => !silent && !this.#hidden.has(n));
    return picture(this.#plot.ctx.canvas, { title, series: shown });
  }

  #visible() {
    const { x } = this.#data;
    if (this.#range) return this.#range;
    const last = x.at(-1) ?? 0;
    return [x[0] ?? 0, Math.max(last, this.#ahead ?? 0, (x[0] ?? 0) + 1)];
  }

  #draw() {
    if (!this.#plot && !this.#build()) return;
    const { x, columns, blocks } = this.#data, { series } = this.#options;
    const [from, to] = this.#visible();
    const width = Math.max(50, this.#plot.width - 70);
    const sparse = series.map((s) => !!s.sparse);
    this.#places = thinned({ x, columns, sparse, blocks }, { from, to, width });
    const pick = (column) => this.#places.map((place) => column[place] ?? null);
    this.#plot.setData([pick(x), ...columns.map(pick)], false);
    this.#plot.batch(() => {
      this.#plot.setScale("x", { min: from, max: to });
      this.#plot.setScale("y", this.#vertical(from, to));
    });
    this.#read(this.#reading);
  }

  #vertical(from, to) {
    const { x, ...data } = this.#data;
    const [shown, blocks] = [data.columns, data.blocks].map((all) => all.filter((_, n) => !this.#hidden.has(n)));
    const first = lowerBound(x, from), last = Math.min(x.length - 1, lowerBound(x, to));
    const found = extent(shown, { blocks, first, last, clip: this.#clip, positive: this.#log });
    if (!found) return this.#log ? { min: 0.1, max: 10 } : { min: 0, max: 1 };
    const [low, high] = this.#options.y.zero ? [Math.min(0, found[0]), found[1]] : found;
    if (this.#log) return { min: low / 1.1, max: high * 1.1 };
    const room = (high - low || Math.abs(high) || 1) * 0.06;
    return { min: low >= 0 ? Math.max(0, low - room) : low - room, max: high + room };
  }

  #build() {
    const width = this.#host.clientWidth;
    if (!width) return false;
    const { series, x, y, height, group } = this.#options;
    const font = `12px ${getComputedStyle(this.#host).fontFamily}`;
    const axis = { font, labelFont: font, stroke: () => colour("quiet"), ticks: { show: false }, labelSize: 18, gap: 6 };
    this.#plot = new uPlot({
      width, height,
      legend: { show: false },
      padding: [12, 28, 0, 0],
      cursor: {
        drag: { x: true, y: false, setScale: false },
        points: { size: 7, fill: (u, n) => colour(series[n - 1].colour) },
        bind: { dblclick: () => () => this.zoom(null) },
        ...(group ? { sync: { key: group, scales: ["x", null] } } : {}),
      },
      scales: { x: { time: false, auto: false }, y: { auto: false, distr: this.#log ? 3 : 1 } },
      axes: [
        { ...axis, size: 30, label: x.bare ? undefined : x.label, incrs: WHOLE, grid: { show: false }, values: (u, all) => all.map(wholeOr(x.format)) },
        { ...axis, size: 58, label: y.label, grid: { stroke: () => colour("line"), width: 1 }, values: (u, all) => all.map((v) => (v === null ? "" : tick(v))) },
      ],
      series: [{}, ...series.map((s, n) => this.#curve(s, n))],
      hooks: {
        setSelect: [(u) => this.#select(u)],
        setCursor: [(u) => this.#point(u)],
        draw: [(u) => drawMarks(u, this.#marks)],
      },
    }, [[], ...series.map(() => [])], this.#host);
    return true;
  }

  #curve({ colour: name, sparse, width = sparse ? 2 : 1.5, dash, area }, n) {
    return {
      show: !this.#hidden.has(n),
      stroke: () => colour(name),
      width,
      dash,
      fill: area ? () => colour(`${name}-soft`) : undefined,
      spanGaps: !!sparse,
      points: { show: (u) => !!sparse && u.data[n + 1].filter((v) => v !== null).length < 80, size: 6, fill: () => colour(name) },
    };
  }

  #rebuild() {
    this.#plot?.destroy();
    this.#plot = null;
  }

  #resize() {
    const width = this.#host.clientWidth;
    if (!width || width === this.#plot?.width) return;
    this.#plot?.setSize({ width, height: this.#options.height });
    this.#draw();
  }

  #select(u) {
    const { left, width } = u.select;
    if (width > 4) {
      const [from, to] = [u.posToVal(left, "x"), u.posToVal(left + width, "x")];
      u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
      this.zoom([from, to]);
    }
  }

  /** The pointer, here or in a chart of the same group. */
  #point(u) {
    const { left } = u.cursor;
    const { x } = this.#data;
    const place = left >= 0 && x.length ? nearest(x, u.posToVal(left, "x")) : null;
    if (place !== this.#reading) this.#read(place, { moved: true });
  }

  #key(event) {
    const { x } = this.#data;
    if (event.key === "Escape" && this.zoomed) return this.zoom(null);
    const page = Math.max(1, Math.round(x.length / 20));
    const step = { ...STEPS, PageUp: -page, PageDown: page }[event.key];
    if (step === undefined || !x.length) return;
    event.preventDefault();
    this.#read(Math.min(x.length - 1, Math.max(0, (this.#reading ?? x.length - 1) + step)));
  }

  /** Show the values of a row in the legend; the latest for null. */
  #read(place, { moved = false } = {}) {
    this.#reading = place;
    if (!this.#plot) return;
    if (!moved) {
      const left = place === null ? -10 : this.#plot.valToPos(this.#data.x[place], "x");
      this.#plot.setCursor({ left, top: place === null ? -10 : 10 }, false);
    }
    this.#tell();
  }

  #tell() {
    const { x } = this.#data, { series, x: axis, y, label } = this.#options;
    const at = this.#reading ?? x.length - 1;
    const values = series.map((_, n) => this.#valueAt(n, at));
    const where = x.length ? `${this.#reading === null ? "latest, " : ""}${axis.label} ${axis.format(x[at])}` : "";
    render(html`
      ${series.map((s, n) => s.silent ? nothing : html`<li>
        <button class="legend-item" aria-pressed=${!this.#hidden.has(n)} data-colour=${s.colour} @click=${() => this.#toggle(n)}
          title="Show or hide ${s.name}"><i></i>${s.brief ?? s.name} <b>${values[n] === null ? MISSING : y.format(values[n])}</b></button></li>`)}
      <li class="legend-where">${where}</li>
      ${this.zoomed ? html`<li><button class="button small" @click=${() => this.zoom(null)}>Show all</button></li>` : nothing}`,
    this.#legend);
    const words = series.flatMap((s, n) => (s.silent ? [] : `${s.name} ${values[n] === null ? "not measured" : y.format(values[n])}`));
    Object.assign(this.#host, {
      ariaValueMin: "0",
      ariaValueMax: String(Math.max(0, x.length - 1)),
      ariaValueNow: String(Math.max(0, at)),
      ariaValueText: x.length ? `${where}: ${words.join(", ")}` : `${label}: nothing measured yet`,
    });
  }

  /** The value at a row; of a sparse series the one that was measured last before it. */
  #valueAt(series, place) {
    const column = this.#data.columns[series] ?? [];
    let at = place;
    if (this.#options.series[series].sparse) while (at > 0 && (column[at] ?? null) === null) at -= 1;
    return column[at] ?? null;
  }

  #toggle(series) {
    if (!this.#hidden.delete(series)) this.#hidden.add(series);
    this.#plot.setSeries(series + 1, { show: !this.#hidden.has(series) });
    this.#draw();
  }

  #group() {
    return groups.get(this.#options.group) ?? [this];
  }

  #joinGroup() {
    const { group } = this.#options;
    if (group) groups.set(group, [...(groups.get(group) ?? []), this]);
  }

  #leaveGroup() {
    const { group } = this.#options;
    if (group) groups.set(group, groups.get(group).filter((chart) => chart !== this));
  }
}

const groups = new Map();

const wholeOr = (format) => (value) => (value === null ? "" : format(Math.round(value * 1e6) / 1e6));
