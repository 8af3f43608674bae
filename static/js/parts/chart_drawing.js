// What a plot draws: its axes, its curves and its marks; and a chart as a picture of its own. Lengths are pixels of the
// page, but for the picture, which has those of the screen.

import { colour } from "../frame/theme.js";
import { tick } from "./format.js";

const TONES = { good: "good", bad: "bad", waiting: "waiting", quiet: "quiet", accent: "accent" };
// A sparse curve with fewer values shows each as a point; others those that stand alone, which no line reaches.
const POINTS = 80;

/** Where nothing is drawn yet. */
export function drawNothing({ ctx, box }) {
  ctx.fillStyle = colour("quiet");
  ctx.textAlign = "center";
  ctx.fillText("Nothing measured yet", box.left + box.width / 2, box.top + box.height / 2);
}

/** The names of both axes, and a line through the plot for each of y's. `names`: the values that are named. */
export function drawAxes({ ctx, box, x: across, y: upwards }, { x, y, names }) {
  const bottom = box.top + box.height, middle = box.left + box.width / 2;
  ctx.strokeStyle = colour("line");
  ctx.fillStyle = colour("quiet");
  ctx.textAlign = "right";
  ctx.textBaseline = "middle";
  ctx.beginPath();
  for (const value of names.y) {
    const place = Math.round(upwards.at(value)) + 0.5;
    ctx.moveTo(box.left, place);
    ctx.lineTo(box.left + box.width, place);
    ctx.fillText(tick(value), box.left - 6, place);
  }
  ctx.stroke();
  ctx.textAlign = "center";
  ctx.textBaseline = "top";
  for (const value of names.x) ctx.fillText(x.format(value), across.at(value), bottom + 8);
  if (!x.bare) ctx.fillText(x.label, middle, bottom + 30);
  ctx.rotate(-Math.PI / 2);
  ctx.fillText(y.label ?? "", -(box.top + box.height / 2), 3);
  ctx.rotate(Math.PI / 2);
}

/** A curve over `x`; null is a gap, which only a `sparse` one is drawn across. */
export function drawCurve({ ctx, box, x: across, y: upwards }, series, { x, column }) {
  const { colour: name, sparse, width = sparse ? 2 : 1.5, dash = [] } = series;
  const shown = (value) => value !== null && Number.isFinite(value) && (!upwards.log || value > 0);
  const places = column.map((value, row) => (shown(value) ? [across.at(x[row]), upwards.at(value)] : null));
  ctx.save();
  ctx.beginPath();
  // The points at the edges stand out a little.
  ctx.rect(box.left - 4, box.top - 4, box.width + 8, box.height + 8);
  ctx.clip();
  ctx.strokeStyle = ctx.fillStyle = colour(name);
  Object.assign(ctx, { lineWidth: width, lineJoin: "round" });
  ctx.setLineDash(dash);
  curve(ctx, sparse ? places.filter(Boolean) : places);
  points(ctx, sparse ? places.filter(Boolean) : places.filter((place, n) => place && !places[n - 1] && !places[n + 1]));
  ctx.restore();
}

function curve(ctx, places) {
  ctx.beginPath();
  let drawing = false;
  for (const place of places) {
    if (place && drawing) ctx.lineTo(...place);
    else if (place) ctx.moveTo(...place);
    drawing = place !== null;
  }
  ctx.stroke();
}

function points(ctx, places) {
  if (places.length >= POINTS) return;
  ctx.beginPath();
  for (const [left, top] of places) {
    ctx.moveTo(left, top);
    ctx.arc(left, top, 3.5, 0, 2 * Math.PI);
  }
  ctx.fill();
}

/** Marks: a line through the plot, or a ring around a point where `y` is given, with its word. */
export function drawMarks({ ctx, box, x: across, y: upwards, family }, marks) {
  ctx.font = `600 12px ${family}`;
  Object.assign(ctx, { textAlign: "center", textBaseline: "alphabetic" });
  for (const { x, y = null, label = "", tone = "quiet" } of marks) {
    const left = across.at(x);
    if (left < box.left || left > box.left + box.width) continue;
    ctx.strokeStyle = ctx.fillStyle = colour(TONES[tone]);
    ctx.lineWidth = 1.5;
    const top = y === null ? line(ctx, left, box) : ring(ctx, left, upwards.at(y));
    const half = ctx.measureText(label).width / 2;
    const middle = Math.min(Math.max(left, box.left + half), box.left + box.width - half);
    ctx.lineWidth = 4;
    ctx.strokeStyle = colour("card");
    ctx.strokeText(label, middle, top);
    ctx.fillText(label, middle, top);
  }
}

function line(ctx, left, { top, height }) {
  ctx.setLineDash([5, 4]);
  ctx.beginPath();
  ctx.moveTo(left, top + 14);
  ctx.lineTo(left, top + height);
  ctx.stroke();
  ctx.setLineDash([]);
  return top + 8;
}

function ring(ctx, left, top) {
  ctx.beginPath();
  ctx.arc(left, top, 6, 0, 2 * Math.PI);
  ctx.stroke();
  return top - 11;
}

/** A canvas with title and legend above it, on the ground of the theme, as a PNG. */
export function picture(canvas, { title, series }) {
  const scale = devicePixelRatio, head = 64 * scale, edge = 20 * scale;
  const whole = document.createElement("canvas");
  [whole.width, whole.height] = [canvas.width + 2 * edge, canvas.height + head + edge];
  const ctx = whole.getContext("2d");
  const family = getComputedStyle(document.body).fontFamily;
  ctx.fillStyle = colour("card");
  ctx.fillRect(0, 0, whole.width, whole.height);
  ctx.fillStyle = colour("ink");
  ctx.font = `600 ${16 * scale}px ${family}`;
  ctx.fillText(title, edge, 30 * scale);
  ctx.font = `${13 * scale}px ${family}`;
  let left = edge;
  for (const { name, colour: key } of series) {
    ctx.fillStyle = colour(key);
    ctx.fillRect(left, 46 * scale, 14 * scale, 3 * scale);
    ctx.fillStyle = colour("quiet");
    ctx.fillText(name, left + 20 * scale, 52 * scale);
    left += 20 * scale + ctx.measureText(name).width + 22 * scale;
  }
  ctx.drawImage(canvas, edge, head);
  return new Promise((resolve) => whole.toBlob(resolve, "image/png"));
}
