// The shapes that rows can have, as people call them, with the parts that a column can be named for.

/** Parts with a question mark can be missing. */
const WRITTEN = {
  messages: ["Conversations (messages)", "messages"],
  sharegpt: ["Conversations (from, value)", "conversations system?"],
  prompt_completion: ["Prompt and completion", "prompt completion system?"],
  question_answer: ["Question and answer", "question context? answer system?"],
  alpaca: ["Instruction, input, output", "instruction input? output system?"],
  document_summary: ["Document and summary", "document summary"],
  preference: ["Chosen and rejected answers", "prompt? chosen rejected system?"],
  text: ["Texts, each a document", "text"],
};

/** [{value, label, parts: [{name, needed}]}] */
export const SHAPES = Object.entries(WRITTEN).map(([value, [label, parts]]) => ({
  value,
  label,
  parts: parts.split(" ").map((part) => ({ name: part.replace("?", ""), needed: !part.endsWith("?") })),
}));

export const shapeName = (value) => SHAPES.find((shape) => shape.value === value)?.label ?? "Not recognised";
