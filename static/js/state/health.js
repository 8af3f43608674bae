// How the machine and both servers are, and what the model server holds.

import { get } from "./api.js";
import { Polled } from "./store.js";

/** The answer of /api/health; null before the first. */
export const health = new Polled(() => get("/api/health"), 2500);

/** The answer of /api/model/status; null where no model server runs. */
export const resident = new Polled(() => (modelServerRuns() ? get("/api/model/status") : null), 2500);

export const modelServerRuns = () => health.value?.components.model_server === "running";

/** Begin to ask. */
export async function startHealth() {
  await health.start();
  resident.start();
}
