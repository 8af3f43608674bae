// The picture of a run's losses: axes, curves, the best checkpoint, where it failed. Its size is given.

import { draw } from "./dom.js";
import { count } from "./format.js";
import { iterationScale, linePath, lossScale, roundUp, tickText } from "./scale.js";
import { isActive } from "./shown.js";

// Validation is measured now and then; its measurements are marked as long as there are no more than `dots`.
export const SERIES = [
  { key: "training_loss", name: "Training", short: "training", dots: 1 },
  { key: "validation_loss", name: "Validation", short: "validation", sparse: true, dots: 80 },
  { key: "general_validation_loss", name: "On general data", short: "general", sparse: true, dots: 80 },
];
export const MARGIN = { top: 26, right: 20, bottom: 40, left: 58 };

/** The scales of a plot of this size: `x` of iterations, `y` of losses, and the size inside the margins. */
export function scalesOf(rows, run, size) {
  const width = size.width - MARGIN.left - MARGIN.right, height = size.height - MARGIN.top - MARGIN.bottom;
  const x = iterationScale(lastIteration(rows, run), width), y = lossScale(losses(rows), height);
  return { x, y, width, height, at: (iteration, loss) => [x.place(iteration), height - y.place(loss)] };
}

/** Everything that stays where it is while a person reads; `best` is an iteration or null. */
export function picture(rows, run, { scales, best }) {
  const curves = SERIES.flatMap((series) => curve(rows, scales, series));
  const failed = run.state === "failed" ? failureMark(rows, scales) : [];
  const marks = [...bestMark(rows, scales, best), ...failed];
  const place = `translate(${MARGIN.left} ${MARGIN.top})`;
  return draw("g", { transform: place }, ...axes(scales), ...curves, ...marks);
}

/** While a run goes on the axis reaches ahead, so that it does not change with every iteration. */
function lastIteration(rows, run) {
  const last = rows.at(-1)?.iteration ?? 0, total = run.total_iterations;
  if (!isActive(run) || total === null) return last || total || 1;
  return last ? Math.min(total, roundUp(last * 1.6)) : total;
}

function* losses(rows) {
  for (const row of rows) {
    for (const { key } of SERIES) if (row[key] !== null) yield row[key];
  }
}

function axes({ x, y, width, height }) {
  const lines = y.ticks.flatMap((tick) => {
    const at = height - y.place(tick);
    return [
      draw("line", { class: "grid", x1: 0, x2: width, y1: at, y2: at }),
      draw("text", { x: -10, y: at + 4, "text-anchor": "end" }, tickText(tick)),
    ];
  });
  const below = { y: height + 18, "text-anchor": "middle" };
  const columns = x.ticks.map((tick) => draw("text", { ...below, x: x.place(tick) }, count(tick)));
  return [
    ...lines,
    ...columns,
    draw("line", { class: "axis", x1: 0, x2: width, y1: height, y2: height }),
    draw("text", { x: -48, y: -12 }, `loss in nats per token${y.note}`),
    draw("text", { x: width, y: height + 34, "text-anchor": "end" }, "iteration"),
  ];
}

function curve(rows, { x, at, width }, { key, short, sparse, dots }) {
  const point = (row) => (row[key] === null ? [x.place(row.iteration), null] : at(row.iteration, row[key]));
  const measured = rows.filter((row) => row[key] !== null);
  if (!measured.length) return [];
  // Training is measured at every iteration from 1 on, so that a gap is a gap.
  const d = linePath((sparse ? measured : rows.filter((row) => row.iteration > 0)).map(point));
  const marked = measured.length <= dots ? measured.map(point) : [];
  // Beneath it so many iterations are one broad band that a thin line would be lost in it.
  const lost = sparse && rows.length > 2 * width;
  return [
    ...(lost ? [draw("path", { class: "halo", d })] : []),
    draw("path", { class: `line ${short}`, d }),
    ...marked.map(([cx, cy]) => draw("circle", { class: `dot ${short}`, cx, cy, r: 3 })),
  ];
}

function bestMark(rows, { at, width }, best) {
  const row = rows.find((row) => row.iteration === best && row.validation_loss !== null);
  if (!row) return [];
  const [cx, cy] = at(row.iteration, row.validation_loss);
  const place = { x: Math.min(cx, width - 12), y: cy - 13, "text-anchor": "middle" };
  return [draw("circle", { class: "best", cx, cy, r: 7 }), draw("text", { class: "note", ...place }, "best")];
}

function failureMark(rows, { x, height }) {
  const at = x.place(rows.at(-1).iteration);
  return [
    draw("line", { class: "failed", x1: at, x2: at, y1: 0, y2: height }),
    draw("text", { class: "failed", x: at + 4, y: -4, "text-anchor": "end" }, "failed"),
  ];
}
