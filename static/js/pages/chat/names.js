// How answers and those who give them are called, and how fast they were.

import { count, MISSING, model } from "../../parts/format.js";
import { runs } from "../../state/runs.js";

/** `lough-tiny`, `lough-tiny + run 3 @ 200`, `lough-tiny + my-adapter` */
export function targetName(target) {
  if (!target?.model_name && !target?.training_id) return "";
  const base = target.model_name ? model(target) : "";
  const run = target.training_id && runs.value?.runs.find(({ id }) => id === target.training_id);
  const adapter = run ? `run ${run.number}` : target.training_id ?? target.adapter_path?.split("/").filter(Boolean).pop() ?? "";
  const at = target.iteration != null ? ` @ ${count(target.iteration)}` : "";
  return [base, adapter && adapter + at].filter(Boolean).join(" + ");
}

/** Who gave an answer. */
export function answererName({ facts }) {
  if (facts.edited) return "Written by you";
  const target = facts.use_adapter === false ? { model_name: facts.model_name } : facts;
  return targetName(target) || "Model";
}

/** `34 tokens · 120 tokens/s · first after 0.08 s`; what was not measured is left out. */
export function figuresOf({ facts }) {
  const { tokens_generated: tokens, tokens_per_second: speed, time_to_first_token_seconds: first, finish_reason: reason } = facts;
  const parts = [
    tokens != null && `${count(tokens)} ${tokens === 1 ? "token" : "tokens"}`,
    speed != null && `${speed < 10 ? speed.toFixed(1) : count(Math.round(speed))} tokens/s`,
    first != null && `first after ${seconds(first)}`,
    reason === "length" && (fillsContext({ facts }) ? "cut off: the context is full" : "cut off at the token limit"),
    reason === "cancelled" && "stopped",
  ];
  return parts.filter(Boolean).join(" · ");
}

/** Whether there is no room for another word. */
export const fillsContext = ({ facts: { prompt_tokens: asked, tokens_generated: tokens, context_length: context } }) =>
  context != null && asked != null && asked + tokens >= context;

/** `80 ms`, `1.2 s` */
export function seconds(value) {
  if (value == null) return MISSING;
  return value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(1)} s`;
}
