// What the run would be, asked a moment after each change; an answer to an earlier question is dropped.

import { post } from "../../state/api.js";
import { Store } from "../../state/store.js";

const PAUSE = 250;

export class Preflight extends Store {
  #values;
  #signal;
  #timer = null;
  #asking = new AbortController();

  /** Its value is `{answer, error}`, the answer null before the first. `values()` are those of the form. */
  constructor(values, signal) {
    super({ answer: null, error: null });
    [this.#values, this.#signal] = [values, signal];
    signal.addEventListener("abort", () => this.#forget(), { once: true });
  }

  /** Ask again in a moment, or `at` once. */
  ask({ at = PAUSE } = {}) {
    this.#forget();
    if (!this.#signal.aborted) this.#timer = setTimeout(() => this.#round(), at);
  }

  #forget() {
    clearTimeout(this.#timer);
    this.#asking.abort();
  }

  async #round() {
    this.#asking = new AbortController();
    const { signal } = this.#asking;
    try {
      // It may always wait: whether it has to is one of the findings.
      const answer = await post("/api/training/preflight", { spec: this.#values(), queue: true }, { signal });
      if (!signal.aborted) this.set({ answer, error: null });
    } catch (error) {
      if (!signal.aborted) this.set({ ...this.value, error });
    }
  }
}
