// Build the page: static/js and static/css into static/dist, by esbuild.
//
// `npm run build`, or `npm run watch` to build again whenever a source changes. Files carry a hash of their content in
// their names; manifest.json says which ones a page loads, and of which sources they were made.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const DIST = join(ROOT, "static", "dist");
const NOTICES = "THIRD_PARTY_NOTICES.txt";

/** Every file that the result depends on, with "/" between its parts. */
function sources() {
  const under = (folder) => readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(js|css)$/.test(entry.name))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)).split(sep).join("/"));
  return [...under("static/js"), ...under("static/css"), "package-lock.json", "scripts/bundle.mjs"].sort();
}

/** What scripts/page_build.py computes as well, to know whether the page must be built again. */
function fingerprint() {
  const sha256 = (data) => createHash("sha256").update(data).digest("hex");
  return sha256(sources().map((path) => `${sha256(readFileSync(join(ROOT, path)))}  ${path}\n`).join(""));
}

/** Indentation, which esbuild keeps inside templates: no page needs it. */
const unindent = {
  name: "unindent",
  setup(build) {
    build.onLoad({ filter: /static[\\/]js[\\/].*\.js$/ }, ({ path }) => ({
      contents: readFileSync(path, "utf8").replace(/\n[ \t]+/g, "\n"),
      loader: "js",
    }));
  },
};

const publish = {
  name: "publish",
  setup(build) {
    build.onEnd(({ errors, metafile, outputFiles }) => {
      if (errors.length) return;
      mkdirSync(DIST, { recursive: true });
      for (const { path, contents } of outputFiles) writeFileSync(path, contents);
      writeFileSync(join(DIST, NOTICES), notices(metafile));
      const kept = new Set([...outputFiles.map(({ path }) => basename(path)), NOTICES, "manifest.json"]);
      const manifest = JSON.stringify(manifestOf(metafile), null, 2);
      writeFileSync(join(DIST, "manifest.json.new"), `${manifest}\n`);
      renameSync(join(DIST, "manifest.json.new"), join(DIST, "manifest.json"));
      for (const name of readdirSync(DIST)) if (!kept.has(name)) rmSync(join(DIST, name));
      const script = outputFiles.filter(({ path }) => path.endsWith(".js"));
      const kilobytes = script.reduce((sum, { contents }) => sum + contents.length, 0) / 1000;
      console.log(`static/dist: ${outputFiles.length} files, ${kilobytes.toFixed(1)} kB of script`);
    });
  },
};

function manifestOf({ outputs }) {
  const made = Object.entries(outputs);
  const entry = (source) => made.find(([, output]) => output.entryPoint === source)[0];
  const script = entry("static/js/main.js");
  const preload = outputs[script].imports.filter(({ kind }) => kind === "import-statement").map(({ path }) => path);
  return {
    sources: fingerprint(),
    script: basename(script),
    early: basename(entry("static/js/early.js")),
    style: basename(entry("static/css/main.css")),
    preload: preload.map((path) => basename(path)),
  };
}

/** The licences of everything that is not ours: what is in the result, and what package.json names. */
function notices({ inputs }) {
  const named = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")).dependencies;
  const bundled = Object.keys(inputs).map((path) => path.match(/^node_modules\/(@[^/]+\/)?[^/]+/)?.[0]);
  const folders = new Set([...bundled.filter(Boolean), ...Object.keys(named).map((name) => `node_modules/${name}`)]);
  const entries = [...folders].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(ROOT, folder, "package.json"), "utf8"));
    const file = readdirSync(join(ROOT, folder)).find((entry) => /^licen[cs]e/i.test(entry));
    const text = file ? readFileSync(join(ROOT, folder, file), "utf8").trim() : `Licence: ${license}`;
    return `${name} ${version} (${license})\n\n${text}\n`;
  });
  return `The page of ForgeLLM contains these packages.\n\n${entries.join(`\n${"-".repeat(79)}\n\n`)}`;
}

const options = {
  absWorkingDir: ROOT,
  entryPoints: ["static/js/main.js", "static/js/early.js", "static/css/main.css"],
  outdir: DIST,
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  bundle: true,
  splitting: true,
  format: "esm",
  minify: true,
  target: ["chrome123", "firefox120", "safari17.5"],
  charset: "utf8",
  legalComments: "none",
  metafile: true,
  write: false,
  logLevel: "warning",
  plugins: [unindent, publish],
};

if (!existsSync(join(ROOT, "node_modules"))) throw new Error("Run `npm ci --ignore-scripts` first.");
if (process.argv.includes("--watch")) await (await esbuild.context(options)).watch();
else await esbuild.build(options);
