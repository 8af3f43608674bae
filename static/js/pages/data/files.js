// Files that someone brings: out of a drop or a picker, with or without folders; which are taken, and as what.

/** What the server takes over HTTP. */
export const KINDS = [".jsonl", ".json", ".csv", ".tsv", ".parquet", ".txt", ".md", ".rst", ".pdf", ".docx", ".epub"];

/** Everything in a drop: [{file, path}], folders with all that is in them. */
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const plain = [...transfer.files];
  if (!entries.length) return plain.map((file) => ({ file, path: file.name }));
  return (await Promise.all(entries.map(within))).flat();
}

async function within(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [{ file, path: entry.fullPath.replace(/^\//, "") }];
  }
  const found = [], reader = entry.createReader();
  for (;;) {
    // A folder is read in portions; an empty one is its end.
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return (await Promise.all(found.map(within))).flat();
    found.push(...some);
  }
}

/** Everything that was chosen in a picker. */
export const chosen = (input) => [...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));

/** Folders of a dataset that are not trained on. */
const PARTS = ["valid", "heldout", "test"];

/**
 * `{taken: [{file, name}], refused: [{path, reason}]}`. Names are plain, but for the part of the dataset that a file is in;
 * where two files of a folder are called the same, the folders that they are in within it stand before them.
 */
export function sorted(files) {
  const refused = [], kept = [];
  for (const { file, path } of files) {
    const reason = whyNot(file, path);
    if (reason) refused.push({ path, reason });
    else kept.push({ file, path });
  }
  const plain = (path) => partOf(path) + path.split("/").pop();
  const whole = (path) => partOf(path) + path.split("/").slice(partOf(path) ? 2 : 1).join("_");
  const twice = new Set(kept.map(({ path }) => plain(path)).filter((name, n, all) => all.indexOf(name) !== n));
  const taken = kept.map(({ file, path }) => ({ file, name: twice.has(plain(path)) && path.includes("/") ? whole(path) : plain(path) }));
  return { taken, refused };
}

/** `valid/` for what lies in that folder of the one that is brought, "" for what is trained on. */
function partOf(path) {
  const [, inner, ...rest] = path.split("/");
  return PARTS.includes(inner) && rest.length ? `${inner}/` : "";
}

function whyNot(file, path) {
  if (path.split("/").some((part) => part.startsWith("."))) return "hidden";
  if (!KINDS.some((kind) => file.name.toLowerCase().endsWith(kind))) return "of a kind that is not taken";
  return file.size ? "" : "empty";
}

/** A name for a dataset: that of the folder, else of the first file without its suffix. */
export function nameFor(files) {
  const first = files[0]?.path ?? "";
  const text = first.includes("/") ? first.split("/")[0] : first.replace(/\.[^.]+$/, "");
  return text.replace(/[^A-Za-z0-9._-]+/g, "_").replace(/^[._-]+|[._-]+$/g, "").slice(0, 128);
}
