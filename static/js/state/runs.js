// The runs of the workspace, the newest first, and the one that is going on. Live events keep that one up to date;
// the list is asked for again when something begins or ends.

import { get, post } from "./api.js";
import { health } from "./health.js";
import { follow, NOW } from "./live.js";
import { Polled, Store } from "./store.js";

const SHOWN = 200;
const ACTIVE = new Set(["running", "stopping", "pending"]);
const TRAINS = new Set(["cpt", "ift"]);

/** Whether it runs or waits to. */
export const isActive = (run) => ACTIVE.has(run.state);
export const trains = (run) => TRAINS.has(run.kind);
export const canResume = (run) =>
  trains(run) && ["paused", "interrupted", "stopped", "failed"].includes(run.state);

/** `{runs, total, waiting}`, the last the ids of those in the queue, the next one first; null before the first answer. */
export const runs = new Polled(() => get(`/api/runs?limit=${SHOWN}`), 10_000);

/** The run that trains, else one that does something else, else the next in the queue; null. */
export const active = new Store(null);

/** Begin to ask and to follow. */
export function startRuns() {
  let known = null;
  let following = new AbortController();
  health.subscribe(({ training_id: id }) => {
    if (id !== known) runs.refresh();
    known = id;
  });
  runs.subscribe(({ runs: list, waiting }) => {
    const next = chosen(list, waiting);
    if (next?.id !== active.value?.id || next?.state !== active.value?.state) {
      following.abort();
      following = new AbortController();
      if (next) followActive(next, following.signal);
    }
    const known = next?.id === active.value?.id ? active.value : null;
    active.set(next ? { ...known, ...next } : null);
  });
  runs.start();
}

function chosen(list, waiting) {
  const going = list.filter((run) => isActive(run) && run.state !== "pending");
  return going.find(trains) ?? going[0] ?? list.find(({ id }) => id === waiting[0]) ?? null;
}

function followActive({ id }, signal) {
  const update = (message) => {
    const before = active.value;
    if (before?.id !== id) return;
    const { events, ...latest } = message;
    active.set({ ...before, ...latest });
    if (latest.state !== before.state) runs.refresh();
  };
  follow(id, { after: NOW, update, end: () => runs.refresh() }, signal);
}

/** Pause, resume or stop a run; the server's word on it. */
export async function command(verb, id) {
  const { message } = await post(`/api/training/${verb}`, { training_id: id });
  runs.refresh();
  return message;
}
