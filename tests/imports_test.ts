/** Holds the direction of imports between the folders of `src`: who may import whom is written down here. */
import { assert, assertEquals } from "@std/assert";
import { dirname, join } from "@std/path/posix";

const ROOT = new URL("../", import.meta.url).pathname;

/** `protocol` and `platform` are leaves; whoever may import another folder may import these as well. */
const LEAVES = ["protocol", "platform"];

/** From each folder, what it may import beside itself and the leaves. */
const ALLOWED: Record<string, readonly string[]> = {
  "main.ts": ["cli", "daemon", "demo", "engine/embedded"],
  "cli": ["client"],
  "client": [],
  // It asks a running daemon for its status: in that it is a client like any other.
  "daemon": [
    "orchestrator",
    "sessions",
    "eventlog",
    "workspaces",
    "containers",
    "engine",
    "engine/embedded",
    "storage",
    "client",
  ],
  // It plays a person at a terminal: starts programs, asks engine and daemon as their clients.
  "demo": ["client", "engine", "engine/embedded"],
  "orchestrator": ["workspaces", "containers", "engine", "storage"],
  "sessions": ["containers", "engine", "storage"],
  "workspaces": ["containers", "engine"],
  "containers": ["engine", "storage"],
  "engine": [],
  "engine/embedded": ["engine"],
  "eventlog": ["storage"],
  "storage": [],
  "protocol": [],
  "platform": [],
};

/** Folders that may not import even both leaves. */
const NO_LEAVES: Record<string, readonly string[]> = {
  "protocol": ["platform"],
  "platform": ["protocol"],
  "eventlog": [],
};

interface Import {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

async function sourceFiles(directory: string): Promise<string[]> {
  const files: string[] = [];
  for await (const entry of Deno.readDir(join(ROOT, directory))) {
    const path = join(directory, entry.name);
    if (entry.isDirectory) files.push(...await sourceFiles(path));
    else if (entry.name.endsWith(".ts") && !entry.name.endsWith(".d.ts")) files.push(path);
  }
  return files;
}

/** `src/engine/embedded/x.ts` is of `engine/embedded`, `main.ts` of itself. */
function folderOf(file: string): string {
  return file.startsWith("src/") ? dirname(file).slice("src/".length) : file;
}

/** Relative imports of a file, static, dynamic, of types and re-exports alike. */
function importsOf(file: string, text: string): Import[] {
  const specifiers = text.matchAll(/(?:\bfrom\s+|\bimport\s*\(\s*|^import\s+)"(\.[^"]+)"/gm);
  return [...specifiers].map(([, specifier = ""]) => {
    return { file, from: folderOf(file), to: folderOf(join(dirname(file), specifier)) };
  });
}

async function allImports(): Promise<Import[]> {
  const imports: Import[] = [];
  for (const file of ["main.ts", ...await sourceFiles("src")]) {
    imports.push(...importsOf(file, await Deno.readTextFile(join(ROOT, file))));
  }
  return imports;
}

function isAllowed({ from, to }: Import): boolean {
  if (from === to || ALLOWED[from]?.includes(to)) return true;
  return LEAVES.includes(to) && !NO_LEAVES[from]?.includes(to);
}

const imports = await allImports();

Deno.test("importsOf() sees every form of import", () => {
  const text = [
    `import { a } from "../client/a.ts";`,
    `import type { b } from "../client/b.ts";`,
    `export * from "../client/c.ts";`,
    `import {\n  d,\n} from "../client/d.ts";`,
    `const e = await import("../client/e.ts");`,
    `import "../client/f.ts";`,
    `import { g } from "@std/assert";`,
  ].join("\n");
  assertEquals(
    importsOf("src/cli/x.ts", text).map(({ from, to }) => `${from} ${to}`),
    Array(6).fill("cli client"),
  );
});

Deno.test("every folder of src is in the table", () => {
  const unknown = new Set(
    imports.flatMap(({ from, to }) => [from, to]).filter((folder) => !(folder in ALLOWED)),
  );
  assertEquals([...unknown], []);
});

Deno.test("imports between folders go the way they may", () => {
  assert(imports.length > 50, "the scan found too little");
  const wrong = imports.filter((each) => !isAllowed(each)).map(({ file, to }) => `${file} imports ${to}`);
  assertEquals(wrong, []);
});

Deno.test("the table has no cycle, so imports between folders have none", () => {
  const finished = new Set<string>();
  const visit = (folder: string, path: readonly string[]): void => {
    assert(!path.includes(folder), `a cycle: ${[...path, folder].join(" → ")}`);
    if (finished.has(folder)) return;
    for (const next of ALLOWED[folder] ?? []) visit(next, [...path, folder]);
    finished.add(folder);
  };
  for (const folder of Object.keys(ALLOWED)) visit(folder, []);
});

Deno.test("only command_tree.ts knows commander, and only main.ts exits", async () => {
  for (const file of ["main.ts", ...await sourceFiles("src")]) {
    const text = await Deno.readTextFile(join(ROOT, file));
    if (file !== "src/cli/command_tree.ts") assert(!/from "(@commander-js|commander)/.test(text), file);
    if (file !== "main.ts") assert(!/\bDeno\.exit\(|\bprocess\.exit\(|addSignalListener/.test(text), file);
  }
});
