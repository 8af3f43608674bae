// A curve as small as a word.

import { html, nothing, svg } from "lit-html";

const STEPS = 24;

/** The shape of `values`, smoothed to what can be seen of it; null interrupts nothing, it is passed over. */
export function sparkline(values, { label, width = 120, height = 32 } = {}) {
  const exact = values.filter((value) => value !== null);
  if (exact.length < 2) return nothing;
  const reach = Math.floor(exact.length / STEPS);
  const known = exact.map((_, place) => mean(exact.slice(Math.max(0, place - reach), place + reach + 1)));
  const sorted = [...known].sort((a, b) => a - b);
  // One spike at the start would flatten everything else.
  const low = sorted[0], high = sorted[Math.floor(0.98 * (sorted.length - 1))];
  const x = (place) => (place / (known.length - 1)) * (width - 4) + 2;
  const y = (value) => height - 3 - ((Math.min(value, high) - low) / (high - low || 1)) * (height - 6);
  const points = known.map((value, place) => `${x(place).toFixed(1)},${y(value).toFixed(1)}`);
  return html`<svg class="sparkline" viewBox="0 0 ${width} ${height}" width=${width} height=${height} role="img"
    aria-label=${label}>${svg`<polyline points=${points.join(" ")}></polyline>
    <circle cx=${x(known.length - 1)} cy=${y(known.at(-1))} r="2"></circle>`}</svg>`;
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
