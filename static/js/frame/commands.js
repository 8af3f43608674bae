// What can be done from the command palette: fixed commands, and sources that are asked while someone types.

const commands = new Set();
const sources = new Set();

/**
 * Offer a command until `signal` is aborted: `{title, icon, group, run}`, where `keys` names its shortcut and `when()`
 * says whether it is offered at this moment.
 */
export function addCommand(command, signal) {
  commands.add(command);
  signal?.addEventListener("abort", () => commands.delete(command), { once: true });
}

/** Offer what `find()` answers: commands, or a promise of them. Asked each time the palette opens. */
export function addSource(find, signal) {
  sources.add(find);
  signal?.addEventListener("abort", () => sources.delete(find), { once: true });
}

export const offered = () => [...commands].filter(({ when }) => !when || when());

export const asked = () => [...sources].map((find) => Promise.resolve(find()).catch(() => []));
