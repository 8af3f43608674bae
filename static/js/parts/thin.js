// Long series for a screen that is narrower: what is drawn looks the same, and nothing that stands out is lost.

import { BLOCK, rowsBetween } from "./blocks.js";

const SAMPLED = 4000;

/**
 * The places of the rows that a plot of `width` pixels needs between `from` and `to` (of `x`, ascending): the lowest
 * and the highest of each dense column in each pixel, and every row in which a sparse column has a value. `blocks` of
 * the columns are asked where pixels are wider than they.
 */
export function thinned({ x, columns, sparse, blocks }, { from, to, width }) {
  // One row beyond each side, so that curves leave the plot where they should.
  const first = Math.max(0, lowerBound(x, from) - 1), last = Math.min(x.length - 1, lowerBound(x, to) + 1);
  const rows = last - first + 1;
  if (rows <= 4 * width) return Array.from({ length: Math.max(0, rows) }, (_, n) => first + n);
  const kept = new Set([first, last]);
  const wide = rows >= 2 * BLOCK * width;
  columns.forEach((column, n) => {
    if (sparse[n]) return keepAll(column, first, last, kept);
    const candidates = wide ? blocks[n].extremes(first, last) : rowsBetween(first, last);
    keepExtremes({ column, x, candidates }, { from, to, width }, kept);
  });
  return [...kept].sort((a, b) => a - b);
}

function keepAll(column, first, last, kept) {
  for (let row = first; row <= last; row += 1) if (column[row] !== null) kept.add(row);
}

function keepExtremes({ column, x, candidates }, { from, to, width }, kept) {
  const perPixel = width / (to - from || 1);
  let pixel = null, low = -1, high = -1;
  const finish = () => {
    if (low < 0) return;
    kept.add(low);
    kept.add(high);
  };
  for (const row of candidates) {
    const value = column[row];
    if (value === null) continue;
    const here = Math.floor((x[row] - from) * perPixel);
    if (here !== pixel) {
      finish();
      [pixel, low, high] = [here, row, row];
    } else if (value < column[low]) low = row;
    else if (value > column[high]) high = row;
  }
  finish();
}

/** The first place in an ascending array whose value is not below `value`. */
export function lowerBound(values, value) {
  let low = 0, high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The place whose value is the closest. */
export function nearest(values, value) {
  const after = Math.min(lowerBound(values, value), values.length - 1), before = Math.max(0, after - 1);
  return value - values[before] < values[after] - value ? before : after;
}

/** An exponential mean without the pull of its start; `weight` 0 changes nothing, 0.99 is very smooth. */
export function smoothed(values, weight) {
  if (!weight) return values;
  const mean = new Array(values.length);
  let sum = 0, share = 0;
  for (let row = 0; row < values.length; row += 1) {
    const value = values[row] ?? null;
    if (value !== null) {
      sum = sum * weight + value * (1 - weight);
      share = share * weight + (1 - weight);
    }
    mean[row] = value === null ? null : sum / share;
  }
  return mean;
}

/**
 * [lowest, highest] of the columns between two places, by their `blocks`; `clip` leaves out the few of each that stand
 * far apart, `positive` what a logarithmic axis cannot show.
 */
export function extent(columns, { blocks, first, last, clip = false, positive = false }) {
  let low = Infinity, high = -Infinity;
  columns.forEach((column, n) => {
    const rows = positive || clip ? null : blocks[n].extremes(first, last);
    const [lowest, highest] = clip ? usual(column, first, last, positive) : whole(column, rows ?? rowsBetween(first, last), positive);
    if (lowest < low) low = lowest;
    if (highest > high) high = highest;
  });
  return low > high ? null : [low, high];
}

function whole(column, rows, positive) {
  let low = Infinity, high = -Infinity;
  for (const row of rows) {
    const value = column[row] ?? null;
    if (value === null || (positive && value <= 0)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

/** Judged by some thousands of the values. */
function usual(column, first, last, positive) {
  let measured = 0;
  for (let row = first; row <= last; row += 1) if ((column[row] ?? null) !== null) measured += 1;
  const every = Math.ceil(measured / SAMPLED), values = [];
  for (let row = first, met = 0; row <= last; row += 1) {
    const value = column[row] ?? null;
    if (value !== null && met++ % every === 0 && (!positive || value > 0)) values.push(value);
  }
  values.sort((a, b) => a - b);
  const at = (share) => values[Math.round(share * (values.length - 1))];
  return values.length ? [at(0.005), at(0.98)] : [Infinity, -Infinity];
}
