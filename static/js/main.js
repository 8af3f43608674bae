// The page: asks the server every two seconds while it is seen, decides which run is on display, says when
// the server is gone and goes on by itself once it is back.

import { get, Refused, Unreachable } from "./api.js";
import { connectCommands } from "./commands.js";
import { byId, setProse, setState, setText } from "./dom.js";
import { duration, loss, moment, state, statement, title } from "./format.js";
import { showHealth } from "./health.js";
import { RunPanel } from "./panel.js";
import { isActive, ShownRun, trains } from "./shown.js";
import { RunTable } from "./table.js";

const INTERVAL = 2000;
const PAGE = 100;
const GONE = "Start it with `forgellm web`; this page goes on by itself once it is back. "
  + "A run that trains is not disturbed: it has a process of its own.";

const panel = new RunPanel();
const table = new RunTable();
const workspace = byId("workspace").textContent;

let shown = null;
let limit = PAGE;
let seen = null;
let timer = null;
let request = new AbortController();
const states = new Map();

async function refresh(signal) {
  const { runs, total } = await get(`/api/runs?limit=${limit}`, signal);
  showHealth(await get("/api/health", signal));
  const active = activeRun(runs);
  const wanted = namedRun(runs) ?? (active ?? runs.find(trains) ?? runs[0])?.id;
  showOnly(wanted ? null : "empty");
  if (wanted) {
    table.show(runs, total, wanted);
    byId("runs").hidden = runs.length === 0;
    byId("older").hidden = runs.length >= total;
    showElsewhere(active, wanted);
    await showRun(wanted, runs, signal);
  }
  announce(runs);
  setTitle(active);
}

/** The id in the address, `#run=ID`; a number does as well. */
function namedRun(runs) {
  const name = new URLSearchParams(location.hash.slice(1)).get("run") || null;
  return runs.find((run) => String(run.number) === name)?.id ?? name;
}

/** What trains, else what runs, else the first that waits: the queue is in order of number. */
function activeRun(runs) {
  const going = runs.filter((run) => isActive(run) && run.state !== "pending");
  return going.find(trains) ?? going[0] ?? runs.findLast((run) => run.state === "pending");
}

async function showRun(wanted, runs, signal) {
  if (shown?.id !== wanted) shown = new ShownRun(wanted);
  const display = shown;
  try {
    await display.update(runs.find((run) => run.id === display.id), signal);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    setProse(byId("missing-error"), statement(error.message));
    setProse(byId("missing-suggestion"), error.suggestion);
    return showOnly("missing");
  }
  showOnly("run");
  panel.show(display);
}

/** One of the three that share a place; null leaves it as it is until the run is known. */
function showOnly(id) {
  if (id === null) return;
  byId("loading").hidden = true;
  for (const each of ["empty", "missing", "run"]) byId(each).hidden = each !== id;
  if (id === "empty") byId("runs").hidden = byId("elsewhere").hidden = true;
}

function showElsewhere(active, wanted) {
  const link = byId("elsewhere");
  link.hidden = !active || active.id === wanted;
  if (link.hidden) return;
  const left = active.eta_seconds === null ? "" : `, ${duration(active.eta_seconds)} left`;
  const measured = active.training_loss === null ? "" : `, training loss ${loss(active.training_loss)}`;
  const progress = `${Math.floor(active.progress_percentage)} %${left}${measured}`;
  link.href = `#run=${encodeURIComponent(active.id)}`;
  setText(link, `${state(active)}: ${title(active)} (No. ${active.number}) – ${progress}`);
}

/** Say which runs changed their state since the last time. */
function announce(runs) {
  const news = runs.filter((run) => states.size && states.get(run.id) !== run.state);
  runs.forEach((run) => states.set(run.id, run.state));
  const words = news.map((run) => `${title(run)}: ${state(run)}`);
  if (words.length) setText(byId("announcement"), words.join(". "));
}

function setTitle(active) {
  const going = active && `${Math.floor(active.progress_percentage)} % ${title(active)} – `;
  document.title = `${going ?? ""}${workspace} – ForgeLLM`;
}

function showTrouble(error) {
  const [cause, remedy] = error instanceof Refused
    ? [statement(error.message), error.suggestion]
    : ["The web server does not answer.", GONE];
  setState(byId("server"), error instanceof Refused ? "Server refuses" : "No answer", "bad");
  const stale = seen ? ` What is shown here is as of ${moment(seen)}.` : "";
  setProse(byId("notice"), `${cause}${stale} ${remedy}`);
  byId("notice").hidden = false;
}

function showSeen() {
  if (!byId("notice").hidden) setText(byId("announcement"), "The web server answers again.");
  byId("notice").hidden = true;
  seen = new Date();
}

/** Ask at once, giving up what is still being asked; then again and again while the page is seen. */
async function tick() {
  clearTimeout(timer);
  request.abort();
  const { signal } = (request = new AbortController());
  try {
    await refresh(signal);
    showSeen();
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof Refused || error instanceof Unreachable)) console.error(error);
    showTrouble(error);
  }
  if (!signal.aborted && !document.hidden) timer = setTimeout(tick, INTERVAL);
}

connectCommands(() => shown, tick);
addEventListener("hashchange", tick);
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : tick()));
byId("older").addEventListener("click", () => {
  limit += PAGE;
  tick();
});
tick();
