/** Holds the imports of `src` and `tests` to the rooms of docs/architecture.md: who may import whom is written down here. */
import { assert, assertEquals } from "@std/assert";
import { dirname, join } from "@std/path/posix";
import { circles, importsIn, importsOf, isProjectFile, typescriptFiles } from "./support/import_graph.ts";

const ROOT = new URL("../", import.meta.url).pathname;

/** `protocol` and `platform` are leaves: every room may import them, unless `NO_LEAVES` says otherwise. */
const LEAVES = ["protocol", "platform"];

/** For each room, the rooms that it may import besides itself and the leaves. */
const ALLOWED: Record<string, readonly string[]> = {
  "main.ts": ["cli", "daemon", "demo", "embedded_engine"],
  "cli": ["client", "engine/discovery"],
  "client": [],
  // The daemon asks a running daemon for its status, as a client of it.
  "daemon": [
    "orchestrator",
    "sessions",
    "eventlog",
    "workspaces",
    "containers",
    "engine",
    "engine/discovery",
    "embedded_engine",
    "storage",
    "client",
  ],
  // The demo plays a person at a terminal: it starts programs, and asks the engine and the daemon as their client.
  "demo": ["client", "engine"],
  "orchestrator": ["workspaces", "containers", "engine", "engine/discovery", "storage"],
  "sessions": ["containers", "engine", "storage"],
  "workspaces": ["containers", "engine"],
  "containers": ["engine", "storage"],
  "engine": [],
  "engine/discovery": [],
  "embedded_engine": ["engine"],
  "eventlog": ["storage"],
  "storage": [],
  "protocol": [],
  "platform": [],
};

/** For each room that may not import every leaf, the leaves that it may not import. */
const NO_LEAVES: Record<string, readonly string[]> = {
  "protocol": ["platform"],
  "platform": ["protocol"],
};

/** For each package that is not for everyone, the rooms (or files) that may import it. */
const PACKAGE_ROOMS: ReadonlyArray<readonly [name: RegExp, users: readonly string[]]> = [
  [/commander/, ["src/cli/command_tree.ts"]],
  [/^valibot$/, ["protocol", "client", "daemon", "embedded_engine", "platform", "storage", "cli"]],
  [/xterm/, ["sessions"]],
  [/logtape/, ["platform"]],
  [/eventemitter3/, ["platform"]],
  [/smol-toml/, ["platform"]],
  [/fast-check/, []],
  [/^node:sqlite$/, ["storage"]],
  [/^node:timers$/, ["eventlog", "storage"]],
  [/^node:/, []],
];

/** The room of a file: `src/engine/http/x.ts` is in `engine`, `main.ts` is a room of its own. */
function roomOf(file: string): string {
  if (!file.startsWith("src/")) return file;
  const folder = dirname(file).slice("src/".length);
  return folder in ALLOWED ? folder : folder.split("/")[0] ?? folder;
}

function isAllowed(from: string, to: string): boolean {
  if (from === to || ALLOWED[from]?.includes(to)) return true;
  return LEAVES.includes(to) && !NO_LEAVES[from]?.includes(to);
}

const sources = ["main.ts", ...await typescriptFiles("src")];
const imports = await importsIn(sources);
const projectImports = imports.filter(({ target }) => isProjectFile(target));
const testImports = (await importsIn(await typescriptFiles("tests"))).filter(({ target }) =>
  isProjectFile(target)
);

Deno.test("importsOf() finds every form of import", () => {
  const text = [
    `import { a } from "../client/a.ts";`,
    `import type { b } from "../client/b.ts";`,
    `export * from "../client/c.ts";`,
    `import {\n  d,\n} from "../client/d.ts";`,
    `const e = await import("../client/e.ts");`,
    `import "../client/f.ts";`,
    `import { g } from "@std/assert";`,
  ].join("\n");
  assertEquals(importsOf("src/cli/x.ts", text).map(({ target }) => target), [
    ..."abcdef".split("").map((name) => `src/client/${name}.ts`),
    "@std/assert",
  ]);
});

Deno.test("circles() finds the files that import one another", () => {
  const edges = ["a b", "b c", "c a", "c d", "d e", "e d", "e f"];
  const graph = edges.map((edge) => ({ file: edge.slice(0, 1), target: edge.slice(2) }));
  assertEquals(circles(graph), [["d", "e"], ["a", "b", "c"]]);
});

Deno.test("every room of src is in the table", () => {
  const rooms = new Set(projectImports.flatMap(({ file, target }) => [roomOf(file), roomOf(target)]));
  assertEquals([...rooms].filter((room) => !(room in ALLOWED)), []);
});

Deno.test("rooms import only what the table permits", () => {
  assert(projectImports.length > 50, "the scan found too little");
  const wrong = projectImports.filter(({ file, target }) => !isAllowed(roomOf(file), roomOf(target)));
  assertEquals(wrong, []);
});

Deno.test("every permission of the table is used", () => {
  const used = new Set(projectImports.map(({ file, target }) => `${roomOf(file)} → ${roomOf(target)}`));
  const permissions = Object.entries(ALLOWED).flatMap(([from, to]) => to.map((room) => `${from} → ${room}`));
  assertEquals(permissions.filter((permission) => !used.has(permission)), []);
});

Deno.test("the table has no circle, so rooms have none", () => {
  const rooms = Object.entries(ALLOWED).flatMap(([file, targets]) =>
    targets.map((target) => ({ file, target }))
  );
  assertEquals(circles(rooms), []);
});

Deno.test("no files import one another in a circle", () => {
  assertEquals(circles(projectImports), []);
});

Deno.test("the folders of src/cli import one another in one direction", () => {
  const order = ["command_tree.ts", "commands", "connection", "terminal", "args", "output"];
  const rank = (file: string): number => order.indexOf(file.slice("src/cli/".length).split("/")[0]!);
  const wrong = projectImports.filter(({ file, target }) =>
    file.startsWith("src/cli/") && rank(target) >= 0 && (rank(file) < 0 || rank(target) < rank(file))
  );
  assertEquals(wrong, []);
});

Deno.test("packages are imported only by the rooms named for them", () => {
  const wrong = imports.filter(({ file, target }) => {
    if (isProjectFile(target)) return false;
    const users = PACKAGE_ROOMS.find(([name]) => name.test(target))?.[1];
    return users !== undefined && !users.includes(roomOf(file)) && !users.includes(file);
  });
  assertEquals(wrong, []);
});

Deno.test("every permission for a package is used", () => {
  const unused = PACKAGE_ROOMS.flatMap(([name, users]) => {
    const importers = imports.filter(({ target }) =>
      PACKAGE_ROOMS.find(([each]) => each.test(target))?.[0] === name
    );
    const used = new Set(importers.flatMap(({ file }) => [roomOf(file), file]));
    return users.filter((user) => !used.has(user)).map((user) => `${user} → ${name.source}`);
  });
  assertEquals(unused, []);
});

Deno.test("tests import the product and their helpers, but no other test", () => {
  const wrong = testImports.filter(({ target }) => target.endsWith("_test.ts"));
  assertEquals(wrong, []);
});

Deno.test("helpers of tests lie in tests/support, and import no test", () => {
  const outside = testImports.filter(({ target }) =>
    target.startsWith("tests/") && !target.startsWith("tests/support/")
  );
  assertEquals(outside, []);
});

Deno.test("the product does not import tests", () => {
  assertEquals(projectImports.filter(({ target }) => target.startsWith("tests/")), []);
});

Deno.test("only main.ts exits", async () => {
  for (const file of sources.filter((file) => file !== "main.ts")) {
    const text = await Deno.readTextFile(join(ROOT, file));
    assert(!/\bDeno\.exit\(|\bprocess\.exit\(|addSignalListener/.test(text), file);
  }
});
