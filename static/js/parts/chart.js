// A chart: curves over one x, with reading by pointer and keyboard, zooming, a legend that switches curves,
// and as many points as the screen can show. Colours come from the theme.

import { html, nothing, render } from "lit-html";
import { recoloured } from "../frame/theme.js";
import { count, MISSING } from "./format.js";
import { Blocks } from "./blocks.js";
import { picture } from "./chart_drawing.js";
import { Plot } from "./plot.js";
import { extent, lowerBound, nearest, thinned } from "./thin.js";

const STEPS = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };

export class Chart {
  #options;
  #plot;
  #host;
  #legend;
  #data = { x: [], columns: [], blocks: [] };
  #edition = null;
  #marks = [];
  #range = null;
  #ahead = null;
  #hidden = new Set();
  #reading = null;
  #log = false;
  #clip = false;
  #resized;
  #width = 0;
  #sharpness = 0;

  /**
   * `options`: `label`, `series` [{name, brief, colour, sparse, width, dash, silent}], `x` and `y` {label, format}, `group`
   * (charts of one group share the cursor and the zoom), `height` in pixels. `colour` is a name of theme.css; a `silent`
   * series is drawn and not spoken of; `brief` is its name in the legend; an `x` that is `bare` has no label; a `y` with `zero` begins there;
   * `last` is said of the last row where none is pointed at. Ends with `signal`.
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
    this.#plot = new Plot(this.#host, {
      ...this.#options,
      pointed: (x) => this.#group().forEach((chart) => chart.#point(x)),
      chosen: (range) => this.zoom(range),
    });
    this.#resized = new ResizeObserver(() => this.#resize());
    this.#resized.observe(this.#host);
    addEventListener("resize", () => this.#resize(), { signal });
    recoloured.subscribe(() => this.#draw(), signal);
    signal.addEventListener("abort", () => this.destroy(), { once: true });
    this.#joinGroup();
    this.#tell();
  }

  /** End before the signal does. */
  destroy() {
    this.#resized.disconnect();
    this.#leaveGroup();
    this.#width = 0;
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
    [this.#log, this.#clip] = [log, clip];
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
    return picture(this.#plot.canvas, { title, series: shown });
  }

  #visible() {
    const { x } = this.#data;
    if (this.#range) return this.#range;
    const last = x.at(-1) ?? 0;
    return [x[0] ?? 0, Math.max(last, this.#ahead ?? 0, (x[0] ?? 0) + 1)];
  }

  #draw() {
    const width = this.#width;
    if (!width) return;
    const { x, columns, blocks } = this.#data;
    const [from, to] = this.#visible();
    const sparse = this.#options.series.map((s) => !!s.sparse);
    const places = thinned({ x, columns, sparse, blocks }, { from, to, width });
    const pick = (column) => places.map((place) => column[place] ?? null);
    this.#plot.draw({
      width, x: pick(x), columns: this.#options.series.map((_, n) => pick(columns[n] ?? [])), across: [from, to],
      upwards: this.#vertical(from, to), log: this.#log, hidden: this.#hidden, marks: this.#marks,
    });
    // There may be fewer rows than there were.
    this.#read(this.#reading === null || !x.length ? null : Math.min(this.#reading, x.length - 1));
  }

  #vertical(from, to) {
    const { x, ...data } = this.#data;
    const [shown, blocks] = [data.columns, data.blocks].map((all) => all.filter((_, n) => !this.#hidden.has(n)));
    const first = lowerBound(x, from), last = Math.min(x.length - 1, lowerBound(x, to));
    const found = extent(shown, { blocks, first, last, clip: this.#clip, positive: this.#log });
    if (!found) return this.#log ? [0.1, 10] : [0, 1];
    const [low, high] = this.#options.y.zero ? [Math.min(0, found[0]), found[1]] : found;
    if (this.#log) return [low / 1.1, high * 1.1];
    const room = (high - low || Math.abs(high) || 1) * 0.06;
    return [low >= 0 ? Math.max(0, low - room) : low - room, high + room];
  }

  #resize() {
    const width = this.#host.clientWidth;
    if (width === this.#width && devicePixelRatio === this.#sharpness) return;
    [this.#width, this.#sharpness] = [width, devicePixelRatio];
    this.#draw();
  }

  /** The pointer is at `x`, here or in a chart of the same group; null as it leaves. */
  #point(x) {
    const place = x === null || !this.#data.x.length ? null : nearest(this.#data.x, x);
    if (place !== this.#reading) this.#read(place);
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
  #read(place) {
    this.#reading = place;
    const values = place === null ? [] : this.#data.columns.map((column, n) => (this.#hidden.has(n) ? null : column[place]));
    this.#plot.mark(place === null ? null : this.#data.x[place], values);
    this.#tell();
  }

  /** The legend, and what the plot says to those who do not see it. Small charts of a group have no room for a button. */
  #tell() {
    const { x } = this.#data, { series, x: axis, y, label, group } = this.#options;
    const at = this.#reading ?? x.length - 1;
    const values = series.map((_, n) => this.#valueAt(n, at));
    const where = x.length ? `${this.#reading === null ? this.#options.last ?? "latest, " : ""}${axis.label} ${axis.format(x[at])}` : "";
    render(html`
      ${series.map((s, n) => s.silent ? nothing : html`<li>
        <button class="legend-item" aria-pressed=${!this.#hidden.has(n)} data-colour=${s.colour} @click=${() => this.#toggle(n)}
          title="Show or hide ${s.name}"><i></i>${s.brief ?? s.name} <b>${values[n] === null ? MISSING : y.format(values[n])}</b></button></li>`)}
      <li class="legend-where">${where}</li>
      ${this.zoomed && !(axis.bare && group) ? html`<li><button class="button small" @click=${() => this.zoom(null)}>Show all</button></li>` : nothing}`,
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
