// A value that changes, and who wants to know. Everything ends with the AbortSignal that it began with.

export class Store {
  #listeners = new Set();

  constructor(value) {
    this.value = value;
  }

  set(value) {
    if (Object.is(value, this.value)) return;
    this.value = value;
    for (const listener of [...this.#listeners]) listener(value);
  }

  /** Call `listener` whenever the value changes, until `signal` is aborted. */
  subscribe(listener, signal) {
    if (signal?.aborted) return;
    this.#listeners.add(listener);
    signal?.addEventListener("abort", () => this.#listeners.delete(listener), { once: true });
  }
}

/**
 * Call `draw` now, and again once a frame when any of the stores has changed, until `signal` is aborted. Returns a
 * function that asks for another drawing.
 */
export function watch(stores, draw, signal) {
  let waiting = false;
  const now = () => {
    waiting = false;
    if (!signal?.aborted) draw();
  };
  const later = () => {
    if (waiting) return;
    waiting = true;
    // A page that is not seen gets no frames.
    if (document.hidden) setTimeout(now, 200);
    else requestAnimationFrame(now);
  };
  for (const store of stores) store.subscribe(later, signal);
  now();
  return later;
}

/** A store that asks again every `interval` milliseconds while the page is seen, and whenever it is told to. */
export class Polled extends Store {
  #ask;
  #interval;
  #timer = null;
  #asking = null;
  #again = false;

  constructor(ask, interval, value = null) {
    super(value);
    [this.#ask, this.#interval] = [ask, interval];
  }

  /** Begin to ask. */
  start() {
    document.addEventListener("visibilitychange", () => document.hidden || this.refresh());
    return this.refresh();
  }

  /** Ask now; resolves when the value is up to date, or the server did not answer. */
  async refresh() {
    if (this.#asking) {
      // What is on its way may have left before whatever happened.
      this.#again = true;
      return this.#asking;
    }
    clearTimeout(this.#timer);
    this.#asking = this.#round();
    await this.#asking;
    this.#asking = null;
    if (this.#again) {
      this.#again = false;
      return this.refresh();
    }
    if (!document.hidden) this.#timer = setTimeout(() => this.refresh(), this.#interval);
  }

  async #round() {
    try {
      this.set(await this.#ask(this.value));
    } catch (error) {
      // That it does not answer is told by `reachable`; anything else is a mistake of ours.
      if (!error.expected) console.error(error);
    }
  }
}
