// Into the trash, and back.

import { toast } from "../../frame/toasts.js";
import { action } from "../../parts/action.js";
import { del, post } from "../../state/api.js";
import { api } from "./addresses.js";

/** Delete a dataset; the message about it has a way back. `changed` is called after both. */
export async function remove(name, { changed }) {
  await del(api(name));
  await changed();
  const restore = action(async () => {
    await post(api(name, "/restore"));
    toast(`${name} is back`);
    await changed();
  }, { failed: "It was not brought back" });
  toast(`${name} is in the trash`, { action: { label: "Undo", run: restore } });
}
