// Requests to this server: an answer, or an error that says what to do. Whether it answers at all is `reachable`.

import { Store } from "./store.js";

const PATIENCE = 30_000;

/** null before the first answer; then true, or false since the last request went unanswered. */
export const reachable = new Store(null);

/** The server does not answer, or not as this server does. */
export class Unreachable extends Error {
  expected = true;
  suggestion = "Start it with `forgellm start`; this page goes on by itself once it is back.";

  constructor() {
    super("The web server does not answer");
  }
}

/** The server answered that it will not or cannot; `suggestion` says what to do about it. */
export class Refused extends Error {
  expected = true;

  constructor(answer) {
    super(answer.error);
    this.suggestion = answer.suggestion ?? "";
    this.code = answer.error_code ?? "";
    this.status = answer.status_code ?? 0;
    this.details = answer.details ?? {};
  }
}

export const get = (path, options) => ask("GET", path, undefined, options);
export const post = (path, body, options) => ask("POST", path, body, options);
export const put = (path, body, options) => ask("PUT", path, body, options);
export const patch = (path, body, options) => ask("PATCH", path, body, options);
export const del = (path, options) => ask("DELETE", path, undefined, options);

/** A path with every part escaped: path`/api/runs/${id}/log`. */
export const path = (fixed, ...parts) => String.raw({ raw: fixed }, ...parts.map(encodeURIComponent));

/** The path with the values that are neither null nor undefined behind a question mark. */
export function query(path, values) {
  const given = Object.entries(values).filter(([, value]) => value !== null && value !== undefined);
  const text = new URLSearchParams(given).toString();
  return text ? `${path}?${text}` : path;
}

/** What the server answers in bytes: an ArrayBuffer. */
export async function bytes(path, { signal } = {}) {
  let response, content;
  try {
    response = await fetch(path, { headers: { Accept: "application/octet-stream, application/json" }, signal });
    content = await response.arrayBuffer();
  } catch (error) {
    if (signal?.aborted) throw Object.assign(error, { expected: true });
    reachable.set(false);
    throw new Unreachable();
  }
  reachable.set(true);
  if (!response.ok) throw new Refused(JSON.parse(new TextDecoder().decode(content)));
  return content;
}

/** What the server answers; `body` may be FormData. `patience` in milliseconds, 0 for as long as it takes. */
async function ask(method, path, body, { signal, patience = PATIENCE } = {}) {
  const limits = [signal, patience ? AbortSignal.timeout(patience) : null].filter(Boolean);
  const form = body instanceof FormData;
  const headers = { Accept: "application/json", "X-Forge-Request": "1" };
  if (body !== undefined && !form) headers["Content-Type"] = "application/json";
  const content = body === undefined || form ? body : JSON.stringify(body);
  let answer;
  try {
    const response = await fetch(path, { method, headers, body: content, signal: AbortSignal.any(limits) });
    answer = await response.json();
  } catch (error) {
    if (signal?.aborted) throw Object.assign(error, { expected: true });
    reachable.set(false);
    throw new Unreachable();
  }
  reachable.set(true);
  if (!answer.success) throw new Refused(answer);
  return answer;
}
