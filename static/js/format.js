// How figures, times, runs and their states are written. What was not measured is a dash.

export const MISSING = "–";

const KINDS = { cpt: "CPT", ift: "IFT", publish: "Publishing", evaluate: "Evaluation" };
const TONES = {
  running: "busy", stopping: "busy", pending: "quiet", paused: "waiting", stopped: "quiet",
  completed: "good", early_stopped: "good", failed: "bad", interrupted: "bad",
};

/** A loss: `2.1034`; `1.3e+9` where four decimals would say nothing. */
export function loss(value) {
  if (value === null || value === undefined) return MISSING;
  const size = Math.abs(value);
  return size === 0 || (size >= 1e-3 && size < 1e5) ? value.toFixed(4) : value.toExponential(1);
}

/** `12,000` */
export const count = (value) => value.toLocaleString("en");

/** `33 MB`, `3.1 MB` */
export const megabytes = (value) => `${value < 10 ? value.toFixed(1) : count(Math.round(value))} MB`;

/** What the API gives in GB: `210 GB`, `3.1 GB`, `43 MB`. */
export function gigabytes(value) {
  if (value < 0.1) return megabytes(value * 1000);
  return `${value < 100 ? value.toFixed(1) : count(Math.round(value))} GB`;
}

/** Seconds, as exact as a person needs: `8 s`, `3 min 20 s`, `14 min`, `2 h 05 min`. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return MISSING;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 600) return `${Math.floor(whole / 60)} min ${padded(whole % 60)} s`;
  const minutes = Math.round(whole / 60);
  return minutes < 60 ? `${minutes} min` : `${count(Math.floor(minutes / 60))} h ${padded(minutes % 60)} min`;
}

/** `21 Nov, 14:45`, with the year where it is not this one. */
export function moment(text) {
  const time = new Date(text);
  const year = time.getFullYear() === new Date().getFullYear() ? {} : { year: "numeric" };
  const parts = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  return Number.isNaN(time.getTime()) ? MISSING : time.toLocaleString("en-GB", { ...parts, ...year });
}

/** `120 of 400` */
export function iterations(run) {
  if (run.total_iterations === null) return run.iteration ? count(run.iteration) : MISSING;
  return `${count(run.iteration)} of ${count(run.total_iterations)}`;
}

export const kind = (run) => KINDS[run.kind] ?? sentence(run.kind);

export const state = (run) => sentence(run.state.replaceAll("_", " "));

export const tone = (run) => TONES[run.state] ?? "quiet";

/** The last part of a model's name or folder; a run's kind where it names none. */
export const model = (run) => run.model_name?.split("/").filter(Boolean).pop() ?? kind(run);

/** What a run is about: `lough-tiny on tamberlough`. */
export const title = (run) => [model(run), run.dataset].filter(Boolean).join(" on ");

export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** A message of the server, which is written without capital and full stop, as a sentence. */
export const statement = (text) => `${sentence(text)}${/[.!?]$/.test(text) ? "" : "."}`;

const padded = (number) => String(number).padStart(2, "0");
