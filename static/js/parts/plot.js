// A plot: curves between two axes on a canvas, and above it what follows the pointer. What is shown, and what a pointer
// or a zoom means, is said by the chart that owns it.

import { drawAxes, drawCurve, drawMarks, drawNothing } from "./chart_drawing.js";
import { axis, named } from "./plot_axes.js";

const ROOM = { top: 12, right: 28, left: 58, bottom: 30, label: 18 };
const DRAGGED = 4;

export class Plot {
  canvas = document.createElement("canvas");
  #options;
  #area = piece("plot-area");
  #line = piece("plot-line");
  #chosen = piece("plot-chosen");
  #dots;
  #axes = null;
  #box = null;
  #from = null;

  /**
   * `options`: `series`, `x`, `y` and `height` as a chart has them; `pointed(x)` is called as the pointer moves, with null
   * as it leaves, `chosen([from, to])` when it was drawn over some of x, with null for all of it.
   */
  constructor(host, options) {
    this.#options = options;
    this.#dots = options.series.map(({ colour }) => {
      const dot = piece("plot-dot");
      dot.style.background = `var(--${colour})`;
      return dot;
    });
    this.#area.append(this.#chosen, this.#line, ...this.#dots);
    this.#area.hidden = false;
    host.append(this.canvas, this.#area);
    this.#follow();
    this.mark(null);
  }

  /** Draw rows of `x` and `columns` within the ranges [from, to] `across` and `upwards`; `hidden` series are left out. */
  draw({ width, x, columns, across, upwards, log, hidden, marks }) {
    const { series, height, x: below, y: beside } = this.#options;
    const box = this.#layOut(width, height);
    const [left, right, top, bottom] = [box.left, box.left + box.width, box.top, box.top + box.height];
    this.#axes = {
      x: axis({ min: across[0], max: across[1], from: left, to: right }),
      y: axis({ min: upwards[0], max: upwards[1], from: bottom, to: top, log }),
    };
    const { fontFamily: family } = getComputedStyle(this.canvas);
    const plot = { ctx: this.#context(width, height), box, family, ...this.#axes };
    plot.ctx.font = `12px ${family}`;
    // An axis of values that nobody measured would be made up.
    if (!x.length) return drawNothing(plot);
    drawAxes(plot, { x: below, y: beside, names: this.#names(plot) });
    series.forEach((one, n) => hidden.has(n) || drawCurve(plot, one, { x, column: columns[n] }));
    drawMarks(plot, marks);
  }

  /** Show where `x` is, and its `values` of each series as dots, null for none; nothing for an `x` of null. */
  mark(x, values = []) {
    const { left, top, height } = this.#box ?? {};
    const place = x === null || !this.#axes ? null : this.#axes.x.at(x) - left;
    this.#line.hidden = place === null;
    if (place !== null) this.#line.style.translate = `${place}px`;
    this.#dots.forEach((dot, n) => {
      const y = place === null || (values[n] ?? null) === null ? NaN : this.#axes.y.at(values[n]) - top;
      dot.hidden = !(y >= 0 && y <= height);
      if (!dot.hidden) dot.style.translate = `${place}px ${y}px`;
    });
  }

  #layOut(width, height) {
    const left = ROOM.left + ROOM.label, bottom = ROOM.bottom + (this.#options.x.bare ? 0 : ROOM.label);
    this.#box = { left, top: ROOM.top, width: Math.max(50, width - left - ROOM.right), height: height - ROOM.top - bottom };
    for (const [name, value] of Object.entries(this.#box)) this.#area.style[name] = `${value}px`;
    return this.#box;
  }

  /** The canvas, empty, to be drawn on in pixels of the page whatever those of the screen are. */
  #context(width, height) {
    const { canvas } = this, sharp = devicePixelRatio;
    [canvas.width, canvas.height] = [width * sharp, height * sharp].map(Math.round);
    const ctx = canvas.getContext("2d");
    ctx.scale(sharp, sharp);
    return ctx;
  }

  #names({ ctx, box, x, y }) {
    const widest = Math.max(...[x.min, x.max].map((value) => ctx.measureText(this.#options.x.format(Math.round(value))).width));
    return { x: named(x, { space: Math.max(50, widest + 20), whole: true }), y: named(y, { space: Math.min(32, box.height / 4) }) };
  }

  #follow() {
    const area = this.#area, { pointed, chosen } = this.#options;
    area.addEventListener("pointermove", (event) => {
      if (!this.#axes) return;
      if (this.#from !== null) this.#draw(this.#place(event));
      pointed(this.#axes.x.value(this.#place(event) + this.#box.left));
    });
    area.addEventListener("pointerleave", () => pointed(null));
    area.addEventListener("pointerdown", (event) => {
      if (event.button || !this.#axes) return;
      area.setPointerCapture(event.pointerId);
      this.#from = this.#place(event);
    });
    area.addEventListener("pointerup", (event) => {
      if (this.#from === null) return;
      const ends = [this.#from, this.#place(event)].sort((a, b) => a - b);
      this.#end();
      if (ends[1] - ends[0] > DRAGGED) chosen(ends.map((place) => this.#axes.x.value(place + this.#box.left)));
    });
    area.addEventListener("pointercancel", () => this.#end());
    area.addEventListener("dblclick", () => chosen(null));
  }

  #place({ clientX }) {
    return Math.min(this.#box.width, Math.max(0, clientX - this.#area.getBoundingClientRect().left));
  }

  #draw(place) {
    this.#chosen.hidden = false;
    this.#chosen.style.left = `${Math.min(place, this.#from)}px`;
    this.#chosen.style.width = `${Math.abs(place - this.#from)}px`;
  }

  #end() {
    this.#from = null;
    this.#chosen.hidden = true;
  }
}

function piece(name) {
  const made = document.createElement("div");
  Object.assign(made, { className: name, hidden: true });
  return made;
}
