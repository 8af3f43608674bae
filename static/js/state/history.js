// What a run measured, in columns that a chart can draw, kept up to date by its events.

import { bytes, path, query } from "./api.js";

export const MEASURED = [
  "training_loss", "validation_loss", "general_validation_loss",
  "learning_rate", "tokens_per_second", "memory_usage_gb", "gradient_norm",
  "reward_margin", "reward_accuracy",
];
const NEWLINE = 10;

/** Everything that a run has measured so far, or about `points` rows of it. */
export async function readHistory(id, { points = null, signal } = {}) {
  return new History(await bytes(query(path`/api/runs/${id}/measurements`, { points }), { signal }));
}

export class History {
  lastSeq = 0;
  /** Counts up when another row than the last has changed. */
  edition = 0;
  iteration = [];
  columns = Object.fromEntries(MEASURED.map((key) => [key, []]));

  /** `buffer` as /api/runs/ID/measurements gives it: a line of JSON, then the columns as doubles. */
  constructor(buffer = null) {
    if (!buffer) return;
    const begin = new Uint8Array(buffer).indexOf(NEWLINE) + 1;
    const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 0, begin)));
    const column = (n) => new Float64Array(buffer, begin + 8 * n * head.rows, head.rows);
    this.lastSeq = head.last_seq;
    head.columns.forEach((name, n) => {
      if (name === "iteration") this.iteration = withNulls(column(n));
      else if (name in this.columns) this.columns[name] = withNulls(column(n));
    });
  }

  /** The latest value of a column, null before the first. */
  last(key) {
    return this.columns[key].findLast((value) => value !== null) ?? null;
  }

  /** Take in one event. Those that are known already change nothing. */
  apply(event) {
    if (event.seq <= this.lastSeq) return;
    this.lastSeq = event.seq;
    if (event.type === "resumed") this.#forgetAfter(event.iteration ?? 0);
    if (event.type === "train" || event.type === "validation") this.#measure(event);
  }

  /** A resumed run repeats the iterations after the state that it goes on from. */
  #forgetAfter(iteration) {
    this.edition += 1;
    while (this.iteration.length && this.iteration.at(-1) > iteration) {
      this.iteration.pop();
      for (const key of MEASURED) this.columns[key].pop();
    }
  }

  #measure(event) {
    if (!Number.isInteger(event.iteration)) return;
    const place = this.#placeOf(event.iteration);
    for (const key of MEASURED) this.columns[key][place] = event[key] ?? this.columns[key][place];
  }

  #placeOf(iteration) {
    let place = this.iteration.length;
    while (place > 0 && this.iteration[place - 1] > iteration) place -= 1;
    if (place < this.iteration.length) this.edition += 1;
    if (this.iteration[place - 1] === iteration) return place - 1;
    this.iteration.splice(place, 0, iteration);
    for (const key of MEASURED) this.columns[key].splice(place, 0, null);
    return place;
  }
}

function withNulls(numbers) {
  const values = new Array(numbers.length);
  for (let n = 0; n < values.length; n += 1) values[n] = Number.isNaN(numbers[n]) ? null : numbers[n];
  return values;
}
