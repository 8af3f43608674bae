// Axes: where values lie on them and which ones are written; and lines thinned to what a screen can show.

import { count } from "./format.js";

const SPIKE = 30;

/** A scale of `values`: logarithmic where one spike would flatten everything else. */
export function lossScale(values, length) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) [low, high] = [0, 1];
  if (low > 0 && high / low > SPIKE) return logarithmic(low, high, length);
  const room = (high - low || Math.abs(high) || 1) * 0.06;
  return linear(low >= 0 ? Math.max(0, low - room) : low - room, high + room, length, 5);
}

/** A scale of iterations from 0 to `last`, whole ones only. */
export function iterationScale(last, length) {
  return linear(0, Math.max(1, last), length, Math.max(2, Math.floor(length / 110)), 1);
}

/** The next of 1, 2, 5, 10, 20, 50 … */
export function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 5, 10].find((step) => step * power >= value * 0.999999);
}

/** A value beside an axis: `0.25`, `1,500`, `5e-5`. */
export function tickText(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential().replace("e+", "e");
  return size < 1000 ? String(Number(value.toPrecision(6))) : count(value);
}

/**
 * The path of a line through [x, y] points in pixels. Of those in one column of pixels only the first, the
 * highest, the lowest and the last are drawn, which looks the same. A `y` of null interrupts the line.
 */
export function linePath(points) {
  const path = [];
  let pen = "M", column = null;
  const finish = () => {
    if (!column) return;
    const { x, first, top, bottom, last } = column;
    const heights = [first, top, bottom, last].filter((y, i, all) => i === 0 || y !== all[i - 1]);
    for (const y of heights) {
      path.push(`${pen}${x} ${y.toFixed(1)}`);
      pen = "L";
    }
    // A lone point would be invisible; with round ends it is a dot.
    if (heights.length === 1) path.push("h0");
    column = null;
  };
  for (const [exact, y] of points) {
    const x = Math.round(exact * 2) / 2;
    if (y === null || column?.x !== x) finish();
    if (y === null) pen = "M";
    else if (!column) column = { x, first: y, top: y, bottom: y, last: y };
    else Object.assign(column, { top: Math.min(column.top, y), bottom: Math.max(column.bottom, y), last: y });
  }
  finish();
  return path.join("");
}

function linear(low, high, length, wanted, finest = 0) {
  const step = Math.max(finest, roundUp((high - low) / wanted));
  const ticks = [];
  // Adding 0 makes 0 of -0, which would be written as such.
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n += 1) ticks.push(n * step + 0);
  return { low, high, ticks, place: (value) => ((value - low) / (high - low)) * length, note: "" };
}

function logarithmic(low, high, length) {
  const [from, to] = [Math.log10(low) - 0.05, Math.log10(high) + 0.05];
  const first = Math.floor(from);
  const powers = Array.from({ length: Math.floor(to) - first + 1 }, (_, n) => first + n);
  const every = Math.ceil(powers.length / 6);
  const steps = powers.length > 3 ? [1] : [1, 2, 5];
  const ticks = powers.filter((_, n) => n % every === 0).flatMap((power) => steps.map((n) => n * 10 ** power))
    .filter((tick) => tick >= 10 ** from && tick <= 10 ** to);
  const place = (value) => ((Math.log10(value) - from) / (to - from)) * length;
  return { low, high, ticks, place, note: ", logarithmic" };
}
