// What happens to runs while one looks elsewhere: a toast when one ends, and a notification where the window is hidden
// and the person has asked for it.

import { state, title } from "../parts/format.js";
import { canResume, isActive, runs } from "../state/runs.js";
import { addCommand } from "./commands.js";
import { go, shown } from "./router.js";
import { toast } from "./toasts.js";

const TONES = { completed: "good", early_stopped: "good", failed: "bad", interrupted: "bad" };

/** Whether this browser can notify and has not been told otherwise: "default", "granted", "denied" or null. */
export const permission = () => ("Notification" in window ? Notification.permission : null);

/** Ask whether a notification may be shown when a run ends. */
export async function askToNotify() {
  const answer = await Notification.requestPermission();
  if (answer === "granted") toast("You are told when a run ends, also while this window is hidden");
  else toast("No notifications are shown", { tone: "quiet", detail: "The browser's settings of this page allow them." });
}

export function startNews() {
  let before = null;
  runs.subscribe(({ runs: list }) => {
    const now = new Map(list.map((run) => [run.id, run]));
    for (const run of list) {
      const known = before?.get(run.id);
      if (known && isActive(known) && !isActive(run)) ended(run);
    }
    before = now;
  });
  addCommand({
    title: "Notify me when a run ends",
    icon: "bell",
    group: "Help",
    when: () => permission() === "default",
    run: askToNotify,
  });
}

function ended(run) {
  const address = `/runs/${encodeURIComponent(run.id)}`;
  const text = `${title(run)}: ${state(run).toLowerCase()}`;
  if (document.hidden && permission() === "granted") {
    const note = new Notification(text, { body: canResume(run) ? "It can be resumed." : "", tag: run.id });
    note.onclick = () => {
      window.focus();
      go(address);
    };
  }
  // Who looks at it sees it.
  if (shown.value?.params.id === run.id && !document.hidden) return;
  toast(text, { tone: TONES[run.state] ?? "quiet", action: { label: "Open", run: () => go(address) } });
}
