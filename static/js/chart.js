// The chart of a run's losses, and reading one iteration of it by pointer or keyboard.

import { MARGIN, picture, scalesOf, SERIES } from "./curves.js";
import { draw, make, setText } from "./dom.js";
import { count, loss } from "./format.js";
import { isActive } from "./shown.js";

const STEPS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, Home: -Infinity, End: Infinity };

export class Chart {
  #plot;
  #legend;
  #where;
  #cursor = draw("g", { class: "cursor", transform: `translate(${MARGIN.left} ${MARGIN.top})` });
  #rows = [];
  #run = null;
  #best = null;
  #scales = null;
  #reading = null;

  /** Draws into `plot`; writes the values into `legend` and their iteration into `where`. */
  constructor(plot, legend, where) {
    [this.#plot, this.#legend, this.#where] = [plot, legend, where];
    new ResizeObserver(() => this.#draw()).observe(plot);
    plot.addEventListener("pointermove", (event) => this.#point(event.clientX));
    plot.addEventListener("pointerleave", () => this.#read(null));
    plot.addEventListener("blur", () => this.#read(null));
    plot.addEventListener("keydown", (event) => this.#move(event));
  }

  /** Draw the rows of `run`; `best` is the iteration of its best checkpoint, or null. */
  show(rows, run, best) {
    if (run.id !== this.#run?.id) this.#reading = null;
    [this.#rows, this.#run, this.#best] = [rows, run, best];
    this.#draw();
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.#plot;
    if (!this.#run || !width) return;
    this.#scales = scalesOf(this.#rows, this.#run, { width, height });
    if (this.#rows.length) {
      const drawn = picture(this.#rows, this.#run, { scales: this.#scales, best: this.#best });
      this.#plot.replaceChildren(draw("svg", { width, height, "aria-hidden": "true" }, drawn, this.#cursor));
    } else this.#plot.replaceChildren(remark(this.#run));
    this.#read(this.#reading);
  }

  #point(clientX) {
    if (!this.#rows.length) return;
    const { x, width } = this.#scales;
    const inside = clientX - this.#plot.getBoundingClientRect().left - MARGIN.left;
    const iteration = (Math.min(Math.max(inside, 0), width) / width) * x.high;
    const after = Math.min(lowerBound(this.#rows, iteration), this.#rows.length - 1);
    const before = Math.max(0, after - 1);
    const closer = iteration - this.#rows[before].iteration < this.#rows[after].iteration - iteration;
    this.#read(closer ? before : after);
  }

  #move(event) {
    const last = this.#rows.length - 1, page = Math.max(1, Math.round(last / 10));
    const step = { ...STEPS, PageDown: -page, PageUp: page }[event.key];
    if (last < 0 || step === undefined) return;
    event.preventDefault();
    this.#read(Math.min(last, Math.max(0, (this.#reading ?? last) + step)));
  }

  /** Show the values of the row with this index; the last ones for null. */
  #read(index) {
    this.#reading = index !== null && index < this.#rows.length ? index : null;
    const at = this.#reading ?? this.#rows.length - 1, row = this.#rows[at];
    const values = SERIES.map((series) => ({ ...series, ...this.#valueAt(series.key, at) }))
      .filter(({ value, key }) => value !== null || key !== "general_validation_loss");
    const latest = this.#reading === null ? "latest, " : "";
    setText(this.#where, row ? `${latest}iteration ${count(row.iteration)}` : "");
    this.#legend.replaceChildren(...values.map(legendItem));
    this.#cursor.replaceChildren(...(this.#reading === null ? [] : this.#marks(row, values)));
    this.#tell(row, values);
  }

  /** The value at a row, or the one that was measured last before; `at` is its iteration. */
  #valueAt(key, index) {
    for (let before = index; before >= 0; before -= 1) {
      const { iteration, [key]: value } = this.#rows[before];
      if (value !== null) return { value, at: iteration, late: before !== index };
    }
    return { value: null, late: false };
  }

  #marks(row, values) {
    const { x, at: place, height } = this.#scales;
    const here = x.place(row.iteration);
    const dots = values.filter(({ value }) => value !== null).map(({ short, value, at }) => {
      const [cx, cy] = place(at, value);
      return draw("circle", { class: `dot ${short}`, cx, cy, r: 4 });
    });
    return [draw("line", { x1: here, x2: here, y1: 0, y2: height }), ...dots];
  }

  #tell(row, values) {
    const words = values.filter(({ value }) => value !== null).map(({ name, value, at, late }) =>
      `${name.toLowerCase()} ${loss(value)}${late ? ` at ${at}` : ""}`);
    const told = {
      valuemin: this.#rows[0]?.iteration ?? 0,
      valuemax: this.#rows.at(-1)?.iteration ?? 0,
      valuenow: row?.iteration ?? 0,
      valuetext: row ? `iteration ${row.iteration}: ${words.join(", ")}` : "nothing measured yet",
    };
    for (const [name, value] of Object.entries(told)) this.#plot.setAttribute(`aria-${name}`, value);
  }
}

function remark(run) {
  const words = isActive(run)
    ? "The first losses appear here as soon as training begins."
    : "This run ended before a loss was measured.";
  return make("p", { class: "remark" }, words);
}

function legendItem({ name, short, value, at, late }) {
  const where = late ? [make("small", {}, ` at ${count(at)}`)] : [];
  return make("li", { class: short }, `${name} `, make("b", {}, loss(value)), ...where);
}

function lowerBound(rows, iteration) {
  let low = 0, high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle].iteration < iteration) low = middle + 1;
    else high = middle;
  }
  return low;
}
