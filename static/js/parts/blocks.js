// The lowest and the highest value of every few rows of a long column, kept as it grows: drawing a run of days costs
// what the screen needs and not what was measured.

export const BLOCK = 32;

export class Blocks {
  #column = [];
  #length = 0;
  // The places of the lowest and the highest value of each block, -1 where nothing was measured.
  #lows = [];
  #highs = [];

  /** Look at what has come to `column` since the last time; its last row then may have changed as well. */
  update(column) {
    const first = Math.floor(Math.max(0, this.#length - 1) / BLOCK);
    [this.#column, this.#length] = [column, column.length];
    const count = Math.ceil(column.length / BLOCK);
    for (let block = first; block < count; block += 1) this.#look(block);
  }

  /** In ascending order, the places between `first` and `last` at which values can be the lowest or highest. */
  *extremes(first, last) {
    const begin = Math.ceil(first / BLOCK), end = Math.floor((last + 1) / BLOCK);
    if (begin >= end) return yield* rowsBetween(first, last);
    yield* rowsBetween(first, begin * BLOCK - 1);
    for (let block = begin; block < end; block += 1) yield* this.#of(block);
    yield* rowsBetween(end * BLOCK, last);
  }

  *#of(block) {
    const low = this.#lows[block], high = this.#highs[block];
    if (low < 0) return;
    yield Math.min(low, high);
    if (low !== high) yield Math.max(low, high);
  }

  #look(block) {
    const column = this.#column, end = Math.min(column.length, (block + 1) * BLOCK);
    let low = -1, high = -1;
    for (let row = block * BLOCK; row < end; row += 1) {
      const value = column[row] ?? null;
      if (value === null) continue;
      if (low < 0 || value < column[low]) low = row;
      if (high < 0 || value > column[high]) high = row;
    }
    [this.#lows[block], this.#highs[block]] = [low, high];
  }
}

export function* rowsBetween(first, last) {
  for (let row = first; row <= last; row += 1) yield row;
}
