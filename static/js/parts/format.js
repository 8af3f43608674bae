// How figures, times, runs and their states are written. What was not measured is a dash.

export const MISSING = "–";

const KINDS = {
  cpt: "CPT", ift: "IFT", publish: "Publishing", evaluate: "Evaluation", quantize: "Quantizing", export: "Export",
  push: "Push to the Hub",
};
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

/** A value beside an axis: `0.25`, `1,500`, `5e-5`. */
export function tick(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential().replace("e+", "e");
  return size < 1000 ? String(Number(value.toPrecision(6))) : count(value);
}

/** `1.2M`, `340K`, `87` */
export function short(value) {
  const sizes = [[1e9, "B"], [1e6, "M"], [1e3, "K"]];
  const [size, letter] = sizes.find(([limit]) => value >= limit) ?? [1, ""];
  const scaled = value / size;
  return `${scaled < 10 && size > 1 ? Number(scaled.toFixed(1)) : Math.round(scaled)}${letter}`;
}

/** `2e-5`, `0.001` */
export const rate = (value) => (value === null || value === undefined ? MISSING : tick(Number(value.toPrecision(3))));

/** `1 run`, `3 runs` */
export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

/** `33 MB`, `3.1 MB`, `under 0.1 MB`, `0 MB` */
export function megabytes(value) {
  if (value < 0.05) return value ? "under 0.1 MB" : "0 MB";
  return `${value < 10 ? value.toFixed(1) : count(Math.round(value))} MB`;
}

/** What the API gives in GB: `210 GB`, `3.1 GB`, `430 MB`. */
export function gigabytes(value) {
  if (value < 1) return megabytes(value * 1000);
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

/** The day of a time: `3 Sept 2026`. */
export function day(text) {
  const time = new Date(text);
  const parts = { day: "numeric", month: "short", year: "numeric" };
  return Number.isNaN(time.getTime()) ? MISSING : time.toLocaleDateString("en-GB", parts);
}

/** How long ago: `just now`, `5 min ago`, `yesterday`; the date after a week. */
export function ago(text, now = Date.now()) {
  const seconds = (now - new Date(text)) / 1000;
  if (Number.isNaN(seconds)) return MISSING;
  if (seconds < 45) return "just now";
  if (seconds < 3600) return `${Math.max(1, Math.round(seconds / 60))} min ago`;
  if (seconds < 86400) return `${Math.round(seconds / 3600)} h ago`;
  const days = Math.round(seconds / 86400);
  return days === 1 ? "yesterday" : days < 7 ? `${days} days ago` : moment(text);
}

/** A setting of a run as a person reads it. */
export function setting(value) {
  if (value === null || value === undefined || value === "") return MISSING;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return Number.isInteger(value) ? count(value) : tick(value);
  if (Array.isArray(value)) return value.length ? value.join(", ") : MISSING;
  return String(value);
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

/** What somebody called a run, else what it is about: `lough-tiny on tamberlough`. */
export const title = (run) => run.name || [model(run), run.dataset].filter(Boolean).join(" on ");

/** With a capital, but where it begins with the name of a file or field, which has its own. */
export const sentence = (text) => (/^\S*[/_.]\S/.test(text) ? text : text.charAt(0).toUpperCase() + text.slice(1));

/** A message of the server, which is written without capital and full stop, as a sentence. */
export const statement = (text) => `${sentence(text)}${/[.!?]$/.test(text) ? "" : "."}`;

const padded = (number) => String(number).padStart(2, "0");
