// Requests to this server: an answer, or an error that says what to do. When to ask is not decided here.

const PATIENCE = 30_000;

/** The server does not answer, or not as this server does. */
export class Unreachable extends Error {}

/** The server answered that it will not or cannot; `suggestion` says what to do about it. */
export class Refused extends Error {
  constructor(answer) {
    super(answer.error);
    this.suggestion = answer.suggestion ?? "";
  }
}

export const get = (path, signal) => ask(path, { signal });

export function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  return ask(path, { method: "POST", headers, body: JSON.stringify(body) });
}

async function ask(path, { signal, ...options }) {
  const limits = [AbortSignal.timeout(PATIENCE), ...(signal ? [signal] : [])];
  let answer;
  try {
    const response = await fetch(path, { ...options, signal: AbortSignal.any(limits) });
    answer = await response.json();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Unreachable(String(error));
  }
  if (!answer.success) throw new Refused(answer);
  return answer;
}
