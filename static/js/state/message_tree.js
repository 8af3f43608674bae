// The messages of a chat, which are a tree: what was edited or answered again is one more child of the same parent.

export class MessageTree {
  #messages = new Map();
  #children = new Map();

  get size() {
    return this.#messages.size;
  }

  get(id) {
    return this.#messages.get(id) ?? null;
  }

  /** Add a message, or put it in the place of the one with its id. */
  put(message) {
    const before = this.#messages.get(message.id);
    this.#messages.set(message.id, message);
    const all = this.#children.get(message.parent) ?? [];
    if (before) all.splice(all.indexOf(before), 1, message);
    else all.push(message);
    this.#children.set(message.parent, all);
  }

  /** Take a message away that nothing hangs on. */
  drop(message) {
    this.#messages.delete(message.id);
    const all = this.#children.get(message.parent) ?? [];
    this.#children.set(message.parent, all.filter(({ id }) => id !== message.id));
  }

  /** From the first message to the one with the id `leaf`. */
  path(leaf) {
    const found = [];
    for (let message = this.get(leaf); message; message = this.get(message.parent)) found.push(message);
    return found.reverse();
  }

  /** The branches that part where `message` stands; answers that were given beside another are none of their own. */
  branches(message) {
    return (this.#children.get(message.parent) ?? [])
      .filter(({ id, role, beside }) => role === message.role && (!beside || id === message.id));
  }

  /** The latest answer that was given beside `message`. */
  beside(message) {
    return (this.#children.get(message.parent) ?? []).findLast(({ beside }) => beside === message.id) ?? null;
  }

  /** Where the branch of a message ends, always taking the latest turn. */
  end(id) {
    const next = (this.#children.get(id) ?? []).findLast(({ beside }) => !beside);
    return next ? this.end(next.id) : id;
  }
}
