// Live events of runs. Any number of followers share one subscription per run; each gets every event above the `seq`
// it knows exactly once, also when the connection breaks.

import { Socket } from "./socket.js";
import { Store } from "./store.js";

/** For a follower that wants what comes from now on, and nothing that has been. */
export const NOW = 1e15;

/** Whether live events come. */
export const live = new Store(false);

const followers = new Map();
let socket = null;

/**
 * Follow the run `id` until `signal` is aborted. `update(message)` takes every `training_update`, its `events` reduced
 * to those above `after`; `end(message, ok)` its `training_complete` or `training_error`.
 */
export function follow(id, { after = 0, update, end = () => {} }, signal) {
  const follower = { seq: after, update, end };
  const all = followers.get(id) ?? new Set();
  followers.set(id, all.add(follower));
  signal.addEventListener("abort", () => leave(id, follower), { once: true });
  if (!socket) connect();
  else if (live.value) subscribe(id);
}

function connect() {
  socket = new Socket({
    heard,
    connected(yes) {
      live.set(yes);
      if (yes) for (const id of followers.keys()) subscribe(id);
    },
  });
  socket.open();
}

async function subscribe(id) {
  const all = [...followers.get(id)];
  const { success, after } = await socket.send("subscribe_training", {
    training_id: id,
    after: Math.min(...all.map(({ seq }) => seq)),
  });
  // The run may have fewer events than a follower knew: a power cut took some.
  if (success) for (const follower of all) follower.seq = Math.min(follower.seq, Math.max(after, 0));
}

function leave(id, follower) {
  const all = followers.get(id);
  all.delete(follower);
  if (all.size) return;
  followers.delete(id);
  if (live.value) socket.send("unsubscribe_training", { training_id: id });
}

function heard(name, message) {
  for (const follower of followers.get(message.training_id) ?? []) {
    if (name === "training_update") tell(follower, message);
    else follower.end(message, name === "training_complete");
  }
}

function tell(follower, message) {
  const events = message.events.filter(({ seq }) => seq > follower.seq);
  if (!events.length) return;
  follower.seq = message.seq;
  follower.update({ ...message, events });
}
