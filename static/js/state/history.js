// What a run measured, in columns that a chart can draw, kept up to date by its events.

export const MEASURED = [
  "training_loss", "validation_loss", "general_validation_loss",
  "learning_rate", "tokens_per_second", "memory_usage_gb", "gradient_norm",
];

export class History {
  lastSeq = 0;
  iteration = [];
  columns = Object.fromEntries(MEASURED.map((key) => [key, []]));

  /** `rows` as /api/dashboard/data gives them: ascending, each with the `seq` of the event that wrote it last. */
  constructor(rows) {
    for (const row of rows) {
      this.iteration.push(row.iteration);
      for (const key of MEASURED) this.columns[key].push(row[key]);
      this.lastSeq = Math.max(this.lastSeq, row.seq);
    }
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
    if (this.iteration[place - 1] === iteration) return place - 1;
    this.iteration.splice(place, 0, iteration);
    for (const key of MEASURED) this.columns[key].splice(place, 0, null);
    return place;
  }
}
