// How charts are to be drawn, chosen above them and remembered in this browser: what, how smooth, which axis.

import { html, nothing } from "lit-html";
import { icon } from "./icons.js";
import { segmented } from "./fields.js";

const KEY = "forgellm.charts";
const USUAL = { smooth: 0, log: false, clip: false };

/** What was chosen last. */
export function chartWish() {
  try {
    return { ...USUAL, ...JSON.parse(localStorage.getItem(KEY) ?? "{}") };
  } catch {
    return { ...USUAL };
  }
}

/** Remember what was chosen. */
export const keepChartWish = ({ smooth, log, clip }) => localStorage.setItem(KEY, JSON.stringify({ smooth, log, clip }));

/**
 * Controls over `wish` {measure, smooth, log, clip}; `change(values)` is told what is to be otherwise. `measures` are the
 * choices of what is drawn, `saves` templates of buttons.
 */
export const chartTools = ({ wish, measures, change, saves = nothing }) => html`
  <div class="tools chart-tools">
    ${segmented({ name: "measure", label: "What is drawn", value: wish.measure, choices: measures, small: true, change: (measure) => change({ measure }) })}
    <label class="chart-smooth">Smoothing
      <input type="range" min="0" max="0.99" step="0.01" .value=${String(wish.smooth)}
        @input=${(event) => change({ smooth: Number(event.target.value) })}>
      <output>${wish.smooth ? wish.smooth.toFixed(2) : "off"}</output>
    </label>
    ${toggle("Logarithmic", wish.log, (log) => change({ log }), "A logarithmic vertical axis")}
    ${toggle("Clip outliers", wish.clip, (clip) => change({ clip }), "Leave out the few values that stand far apart")}
    <span class="chart-saves">${saves}</span>
  </div>`;

const toggle = (words, on, change, hint) => html`
  <button class="button small toggle" aria-pressed=${on} title=${hint} @click=${() => change(!on)}>${words}</button>`;

/** A button that saves what is shown. */
export const saveButton = (words, run, hint) => html`
  <button class="button small" title=${hint} @click=${run}>${icon("download")}${words}</button>`;

/** Columns as text with commas; `names` head them. */
export function csv(names, columns) {
  const lines = [names.join(",")];
  for (let row = 0; row < columns[0].length; row += 1) lines.push(columns.map((column) => column[row] ?? "").join(","));
  return `${lines.join("\n")}\n`;
}

/** A name for a file, of words that may have anything in them. */
export const fileName = (...words) => words.join("_").replace(/[^A-Za-z0-9._-]+/g, "-");
