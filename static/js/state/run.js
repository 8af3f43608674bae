// One run as its page shows it: details, measurements, live. Stores change; who watches them draws.

import { get, path, query } from "./api.js";
import { History } from "./history.js";
import { follow } from "./live.js";
import { trains } from "./runs.js";
import { Store } from "./store.js";

const POINTS = 5000;

export class WatchedRun {
  /** The answer of /api/runs/ID, its `run` brought up to date by events; null before the first. */
  details = new Store(null);
  /** The latest of everything that is measured, as `training_update` tells it; null before the first. */
  latest = new Store(null);
  /** Counts up when `history` has changed. */
  measured = new Store(0);
  history = new History([]);
  #signal;

  constructor(id, signal) {
    [this.id, this.#signal] = [id, signal];
  }

  /** Read everything there is, then follow. Raises Refused where there is no such run. */
  async start() {
    await this.refresh();
    const { id, kind } = this.details.value.run;
    if (trains({ kind })) {
      const data = await this.#get(query("/api/dashboard/data", { points: POINTS, training_dir: id }));
      this.history = new History(data.training_data);
      this.measured.set(this.measured.value + 1);
    }
    const status = await this.#get(query("/api/training/status", { training_id: id }));
    if (!this.latest.value) this.latest.set(status);
    const live = { update: (message) => this.#update(message), end: () => this.refresh() };
    follow(id, { after: this.history.lastSeq, ...live }, this.#signal);
  }

  /** Read the details again: checkpoints, the reason of a failure. */
  async refresh() {
    const details = await this.#get(path`/api/runs/${this.id}`);
    this.details.set(details);
  }

  #update({ events, ...latest }) {
    for (const event of events) this.history.apply(event);
    const details = this.details.value;
    const { iteration, state, training_loss, validation_loss, progress_percentage, eta_seconds } = latest;
    const now = { iteration, state, training_loss, validation_loss, progress_percentage, eta_seconds };
    this.latest.set(latest);
    this.details.set({ ...details, run: { ...details.run, ...now } });
    this.measured.set(this.measured.value + 1);
    const changed = events.some(({ type }) => type === "checkpoint" || type === "failed");
    if (changed || state !== details.run.state) this.refresh();
  }

  #get(path) {
    return get(path, { signal: this.#signal });
  }
}
