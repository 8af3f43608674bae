// What a chart draws besides its curves, and the chart as a picture of its own.

import { colour } from "../frame/theme.js";

const TONES = { good: "good", bad: "bad", waiting: "waiting", quiet: "quiet", accent: "accent" };

/** Marks on a uPlot: a line through the plot, or a ring around a point where `y` is given, with its word. */
export function drawMarks(u, marks) {
  const { ctx, bbox } = u;
  const scale = devicePixelRatio;
  ctx.save();
  ctx.font = `600 ${12 * scale}px ${getComputedStyle(u.root).fontFamily}`;
  ctx.lineWidth = 1.5 * scale;
  for (const { x, y = null, label = "", tone = "quiet" } of marks) {
    const left = u.valToPos(x, "x", true);
    if (left < bbox.left || left > bbox.left + bbox.width) continue;
    ctx.strokeStyle = ctx.fillStyle = colour(TONES[tone]);
    const top = y === null ? line(ctx, left, bbox, scale) : ring(ctx, left, u.valToPos(y, "y", true), scale);
    const half = ctx.measureText(label).width / 2;
    ctx.textAlign = "center";
    const middle = Math.min(Math.max(left, bbox.left + half), bbox.left + bbox.width - half);
    ctx.lineWidth = 4 * scale;
    ctx.strokeStyle = colour("card");
    ctx.strokeText(label, middle, top);
    ctx.fillText(label, middle, top);
    ctx.lineWidth = 1.5 * scale;
  }
  ctx.restore();
}

function line(ctx, left, { top, height }, scale) {
  ctx.setLineDash([5 * scale, 4 * scale]);
  ctx.beginPath();
  ctx.moveTo(left, top + 14 * scale);
  ctx.lineTo(left, top + height);
  ctx.stroke();
  ctx.setLineDash([]);
  return top + 8 * scale;
}

function ring(ctx, left, top, scale) {
  ctx.beginPath();
  ctx.arc(left, top, 6 * scale, 0, 2 * Math.PI);
  ctx.stroke();
  return top - 11 * scale;
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
