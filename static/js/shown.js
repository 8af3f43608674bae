// The run on display: what is known of it, brought up to date with as few requests as possible.

import { get } from "./api.js";
import { History } from "./history.js";

const ACTIVE = new Set(["running", "stopping", "pending"]);
const TRAINS = new Set(["cpt", "ift"]);

export const isActive = (run) => ACTIVE.has(run.state);
export const trains = (run) => TRAINS.has(run.kind);

export class ShownRun {
  details = null;
  status = null;
  history = null;

  constructor(id) {
    this.id = id;
  }

  get path() {
    return `/api/runs/${encodeURIComponent(this.id)}`;
  }

  get run() {
    return this.details.run;
  }

  get best() {
    return this.details.checkpoints.find((checkpoint) => checkpoint.is_best)?.iteration ?? null;
  }

  /** Learn what changed. `item` is the run in the list of runs, undefined where the list ends before it. */
  async update(item, signal) {
    const before = this.details?.run;
    const resting = item && before?.state === item.state && !isActive(item);
    if (resting) return;
    if (before && item?.state === before.state) this.details.run = item;
    else this.details = await get(this.path, signal);
    if (trains(this.run) && await this.#follow(signal)) this.details = await get(this.path, signal);
    if (!isActive(this.run)) return;
    this.status = await get(`/api/training/status?training_id=${this.run.id}`, signal);
  }

  /** Take in new events; true where one of them is about checkpoints that are not known yet. */
  async #follow(signal) {
    const first = this.history === null;
    if (first) {
      const data = await get(`/api/dashboard/data?points=5000&training_dir=${this.run.id}`, signal);
      this.history = new History(data.training_data);
    }
    let more = true, saved = false;
    while (more) {
      const page = await get(`${this.path}/events?after=${this.history.lastSeq}`, signal);
      page.events.forEach((event) => this.history.apply(event));
      saved ||= page.events.some((event) => event.type === "checkpoint");
      more = page.more;
    }
    return saved && !first;
  }
}
