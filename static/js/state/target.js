// What can answer: a model, alone or with the adapter of a run or of one of its checkpoints.

import { get, post } from "./api.js";
import { resident } from "./health.js";

const PAUSE = 400;

/** What is resident, as `/api/model/load` takes it; null where nothing is. */
export function targetOf(status) {
  if (!status?.model_name) return null;
  const { model_name, adapter_path, training_id, iteration } = status;
  if (training_id && iteration != null) return { model_name, training_id, iteration, adapter_path: null };
  return { model_name, adapter_path: adapter_path ?? null, training_id: null, iteration: null };
}

/** Whether that is resident or being loaded. */
export function isTarget(target, status) {
  const held = targetOf(status);
  if (!target || !held) return false;
  if (target.training_id) return held.training_id === target.training_id && held.iteration === target.iteration;
  return held.model_name === target.model_name && (held.adapter_path ?? null) === (target.adapter_path ?? null) && !held.training_id;
}

/** Begin to load; requests wait for it. Raises Refused. */
export async function load(target, { force = false, signal } = {}) {
  const { model_name, adapter_path, training_id, iteration } = target;
  // A run's path to its adapter says the same as the run.
  const wish = training_id ? { model_name, training_id, iteration } : { model_name, adapter_path };
  const given = Object.fromEntries(Object.entries(wish).filter(([, value]) => value != null));
  await post("/api/model/load", { ...given, ...(force ? { force } : {}) }, { signal });
  await resident.refresh();
}

/** Load it unless it is there, and wait until it is. Raises Refused, and an error with what loading failed with. */
export async function makeResident(target, signal) {
  if (isTarget(target, resident.value) && !resident.value.is_loading) return;
  await load(target, { signal });
  await whenLoaded(signal);
}

async function whenLoaded(signal) {
  for (;;) {
    const status = await get("/api/model/status", { signal });
    if (status.error) throw Object.assign(new Error(status.error.error), { expected: true, ...status.error });
    if (!status.is_loading) break;
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
  await resident.refresh();
}
