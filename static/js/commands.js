// What a person can tell a run: pause, resume, stop (asked back first), and show the end of its log.

import { get, post, Refused } from "./api.js";
import { byId, setProse, setText } from "./dom.js";
import { statement, title } from "./format.js";

const LOG_LINES = 200;

/** Connect the buttons; `current` gives the run on display, `changed` is called after each command. */
export function connectCommands(current, changed) {
  let busy = false;
  const tell = async (verb, run) => {
    if (busy) return;
    busy = true;
    setText(byId("told"), "");
    try {
      const { message } = await post(`/api/training/${verb}`, { training_id: run.id });
      setProse(byId("told"), statement(message));
    } catch (error) {
      setProse(byId("told"), explained(error));
    }
    busy = false;
    changed();
  };
  byId("pause").addEventListener("click", () => tell("pause", current().run));
  byId("resume").addEventListener("click", () => tell("resume", current().run));
  byId("stop").addEventListener("click", () => askBack(current().run, (run) => tell("stop", run)));
  byId("log").addEventListener("toggle", () => byId("log").open && showLog(current()));
}

function askBack(run, agreed) {
  const dialog = byId("confirm"), waits = run.state === "pending";
  setText(byId("confirm-title"), waits ? "Take this run out of the queue?" : "Stop this run?");
  setText(byId("confirm-text"), waits
    ? `${title(run)} (${run.id}) will not be started.`
    : `${title(run)} (${run.id}) saves a checkpoint and ends. To go on soon, pause it instead.`);
  setText(byId("confirm-yes"), waits ? "Take it out" : "Stop the run");
  byId("confirm-yes").onclick = () => {
    dialog.close();
    agreed(run);
  };
  byId("confirm-no").onclick = () => dialog.close();
  dialog.showModal();
}

function explained(error) {
  if (!(error instanceof Refused)) return "The web server does not answer. Try again once it is back.";
  return `${statement(error.message)} ${error.suggestion}`;
}

async function showLog({ path }) {
  const pane = byId("log-text");
  setText(pane, "Reading …");
  try {
    const { log } = await get(`${path}/log`);
    const lines = log.trimEnd().split("\n").slice(-LOG_LINES);
    setText(pane, lines.join("\n") || "The run wrote nothing to its log.");
  } catch (error) {
    setProse(pane, explained(error));
  }
  pane.scrollTop = pane.scrollHeight;
}
