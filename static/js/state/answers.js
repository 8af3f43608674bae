// Answers of the resident model as they come, piece by piece.

import { reachable, Refused, Unreachable } from "./api.js";

/**
 * Ask /api/model/generate for `wish`; `piece({text, thinking})` is called with each piece. Resolves with the figures
 * of the whole answer. Raises Refused, Unreachable, and what `signal` was aborted with.
 */
export async function streamAnswer(wish, { piece, signal }) {
  const response = await asked(wish, signal);
  if (!response.headers.get("Content-Type")?.startsWith("text/event-stream")) throw new Refused(await response.json());
  const found = await lastEvent(response.body.getReader(), { piece, signal });
  if (found) return found;
  throw new Unreachable();
}

async function asked(wish, signal) {
  const headers = { Accept: "text/event-stream, application/json", "Content-Type": "application/json", "X-Forge-Request": "1" };
  try {
    const response = await fetch("/api/model/generate", {
      method: "POST", headers, signal, body: JSON.stringify({ ...wish, streaming: true }),
    });
    reachable.set(true);
    return response;
  } catch (error) {
    if (signal.aborted) throw error;
    reachable.set(false);
    throw new Unreachable();
  }
}

async function lastEvent(reader, { piece, signal }) {
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { value, done } = await read(reader, signal);
    if (done) return null;
    const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data:")) continue;
      const event = JSON.parse(line.slice(5));
      if (event.success === false) throw new Refused(event);
      if (event.done) return event;
      piece(event);
    }
  }
}

async function read(reader, signal) {
  try {
    return await reader.read();
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Unreachable();
  }
}
