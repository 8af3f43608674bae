// The models of the workspace and the downloads. What is here is asked for when something may have changed it; how far
// downloads are, while there are any.

import { get } from "./api.js";
import { Store } from "./store.js";

const LOOK = 700;

/** The answer of /api/models/library; null before the first. */
export const library = new Store(null);

/** The downloads, the newest first; null before the first answer. */
export const pulls = new Store(null);

let timer = null;

export async function refreshLibrary(options) {
  library.set(await get("/api/models/library", options));
}

/** Ask how far the downloads are, now and until none goes on. */
export async function refreshPulls() {
  clearTimeout(timer);
  const before = new Map((pulls.value ?? []).map((pull) => [pull.id, pull.state]));
  const { pulls: list } = await get("/api/models/pulls");
  pulls.set(list);
  if (list.some(({ id, state }) => state === "completed" && before.get(id) === "running")) refreshLibrary();
  clearTimeout(timer);
  if (list.some(({ state }) => state === "running")) timer = setTimeout(() => refreshPulls().catch(later), LOOK);
}

/** The server does not answer: what it says of that is said by `reachable`. */
function later() {
  timer = setTimeout(() => refreshPulls().catch(later), 4 * LOOK);
}
