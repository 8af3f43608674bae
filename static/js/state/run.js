// One run as its page shows it: details, measurements, what happened, live. Stores change; who watches them draws.

import { get, path, query } from "./api.js";
import { History, readHistory } from "./history.js";
import { follow } from "./live.js";
import { trains } from "./runs.js";
import { Store } from "./store.js";

// Everything but `train`, which comes with every iteration.
const MILESTONES = [
  "started", "resumed", "corpus", "phase", "validation", "checkpoint", "stopping", "paused", "completed",
  "early_stopped", "stopped", "failed", "answers",
];
const PAGE = 10_000;

export class WatchedRun {
  /** The answer of /api/runs/ID, its `run` brought up to date by events; null before the first. */
  details = new Store(null);
  /** The latest of everything that is measured, as `training_update` tells it; null before the first. */
  latest = new Store(null);
  /** Counts up when `history` has changed. */
  measured = new Store(0);
  /** The events that are no iterations, the oldest first; null before they are read. */
  milestones = new Store(null);
  /** What checkpoints answered: `[{prompt, answers}]`; null before it is read. */
  samples = new Store(null);
  history = new History();
  #signal;

  constructor(id, signal) {
    [this.id, this.#signal] = [id, signal];
  }

  /** Read everything there is, then follow. Raises Refused where there is no such run. */
  async start() {
    const details = await this.#get(path`/api/runs/${this.id}`);
    const { id } = details.run;
    this.id = id;
    const [history, latest] = await Promise.all([
      trains(details.run) ? readHistory(id, { signal: this.#signal }) : this.history,
      this.#get(query("/api/training/status", { training_id: id })),
    ]);
    this.history = history;
    this.latest.set(latest);
    this.details.set(details);
    this.measured.set(1);
    const live = { update: (message) => this.#update(message), end: () => aside(this.refresh()) };
    follow(id, { after: history.lastSeq, ...live }, this.#signal);
    aside(this.#readOn());
  }

  /** Read the details again: checkpoints, the reason of a failure. */
  async refresh() {
    this.details.set(await this.#get(path`/api/runs/${this.id}`));
  }

  /** What takes longer, or is looked at later. */
  async #readOn() {
    const events = (wish) => this.#get(query(path`/api/runs/${this.id}/events`, wish)).then(({ events: known }) => this.#happened(known));
    await Promise.all([
      events({ types: MILESTONES.join(","), limit: PAGE }),
      // What was cut off wrote no end: whatever it wrote last stands for it.
      this.details.value.run.state === "interrupted" && this.history.lastSeq ? events({ after: this.history.lastSeq - 1 }) : null,
      this.#readSamples(),
    ]);
  }

  async #readSamples() {
    if (!trains(this.details.value.run)) return;
    const { prompts } = await this.#get(path`/api/runs/${this.id}/samples`);
    this.samples.set(prompts);
  }

  #happened(events) {
    const known = new Map([...(this.milestones.value ?? []), ...events].map((event) => [event.seq, event]));
    this.milestones.set([...known.values()].sort((a, b) => a.seq - b.seq));
  }

  #update({ events, ...latest }) {
    for (const event of events) this.history.apply(event);
    const milestones = events.filter(({ type }) => type !== "train");
    if (milestones.length) this.#happened(milestones.filter(({ type }) => type !== "sample"));
    if (events.some(({ type }) => type === "sample")) aside(this.#readSamples());
    const details = this.details.value;
    const { iteration, state, training_loss, validation_loss, progress_percentage, eta_seconds } = latest;
    const now = { iteration, state, training_loss, validation_loss, progress_percentage, eta_seconds };
    this.latest.set(latest);
    this.details.set({ ...details, run: { ...details.run, ...now } });
    this.measured.set(this.measured.value + 1);
    const changed = events.some(({ type }) => ["checkpoint", "failed", "completed"].includes(type));
    if (changed || state !== details.run.state) aside(this.refresh());
  }

  #get(path) {
    return get(path, { signal: this.#signal });
  }
}

/** Something is read that nobody waits for: that it ends when the page is left, or is not answered, is said elsewhere. */
function aside(reading) {
  reading.catch((error) => {
    if (!error.expected) throw error;
  });
}
