// What a run measured, one row for each iteration, kept up to date by its events.

const MEASURED = ["training_loss", "validation_loss", "general_validation_loss"];

export class History {
  /** `rows` as the API gives them: ascending, each with the `seq` of the event that wrote it last. */
  constructor(rows) {
    this.rows = rows;
    this.lastSeq = rows.reduce((last, row) => Math.max(last, row.seq), 0);
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
    while (this.rows.length && this.rows.at(-1).iteration > iteration) this.rows.pop();
  }

  #measure(event) {
    if (!Number.isInteger(event.iteration)) return;
    const row = this.#rowAt(event.iteration);
    for (const key of MEASURED) row[key] = event[key] ?? row[key];
  }

  #rowAt(iteration) {
    let place = this.rows.length;
    while (place > 0 && this.rows[place - 1].iteration > iteration) place -= 1;
    const before = this.rows[place - 1];
    if (before?.iteration === iteration) return before;
    const row = { iteration, training_loss: null, validation_loss: null, general_validation_loss: null };
    this.rows.splice(place, 0, row);
    return row;
  }
}
