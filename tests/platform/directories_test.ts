import { assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { ApexError } from "../../src/platform/apex_error.ts";
import {
  MAX_SOCKET_PATH_BYTES,
  type Paths,
  prepareDirectories,
  resolvePaths,
  resolveSockets,
} from "../../src/platform/directories.ts";
import { TempDir } from "../support/temp_dir.ts";

type Env = Record<string, string>;

function resolveWith(env: Env, flags: { socket?: string; config?: string } = {}): Paths {
  return resolvePaths({ env: (name) => env[name], cwd: "/work", ...flags });
}

const HOME = { HOME: "/home/u" };

const runtimeDirs: [name: string, env: Env, expected: string][] = [
  ["APEX_RUNTIME_DIR first", { ...HOME, APEX_RUNTIME_DIR: "/r", XDG_RUNTIME_DIR: "/x" }, "/r"],
  ["XDG_RUNTIME_DIR/apex next", { ...HOME, XDG_RUNTIME_DIR: "/x" }, "/x/apex"],
  ["the home directory last", HOME, "/home/u/.local/run/apex"],
  ["the next variable when one is empty", { ...HOME, APEX_RUNTIME_DIR: "" }, "/home/u/.local/run/apex"],
  ["a path without dots in it", { ...HOME, APEX_RUNTIME_DIR: "/a/../r/" }, "/r"],
];

for (const [name, env, expected] of runtimeDirs) {
  Deno.test(`resolvePaths() uses ${name}`, () => {
    const paths = resolveWith(env);
    assertEquals(paths.runtimeDir, expected);
    assertEquals(paths.controlSocket, `${expected}/apex.socket`);
    assertEquals(paths.eventsSocket, `${expected}/events.socket`);
    assertEquals(paths.engineSocket, `${expected}/engine.socket`);
  });
}

Deno.test("resolvePaths() follows XDG for state and configuration", () => {
  const plain = resolveWith(HOME);
  assertEquals(plain.stateDir, "/home/u/.local/state/apex");
  assertEquals(plain.configFile, "/home/u/.config/apex/config.toml");
  const xdg = resolveWith({ ...HOME, XDG_STATE_HOME: "/s", XDG_CONFIG_HOME: "/c" });
  assertEquals([xdg.stateDir, xdg.configFile], ["/s/apex", "/c/apex/config.toml"]);
  assertEquals(resolveWith({ ...HOME, APEX_STATE_DIR: "/own" }).stateDir, "/own");
});

Deno.test("resolvePaths() resolves flags against the working directory, with events.socket beside --socket", () => {
  const paths = resolveWith(HOME, { socket: "run/my.socket", config: "my.toml" });
  assertEquals(paths.controlSocket, "/work/run/my.socket");
  assertEquals(paths.eventsSocket, "/work/run/events.socket");
  assertEquals([paths.configFile, paths.configFileIsChosen], ["/work/my.toml", true]);
});

Deno.test("resolveSockets() needs no home directory with --socket", () => {
  assertEquals(
    resolveSockets({ env: () => undefined, cwd: "/", socket: "/a/b" }).eventsSocket,
    "/a/events.socket",
  );
});

const refused: [name: string, env: Env, socket: string | undefined, message: RegExp][] = [
  [
    "a relative APEX_RUNTIME_DIR",
    { APEX_RUNTIME_DIR: "run" },
    undefined,
    /^APEX_RUNTIME_DIR must be .* not "run"$/,
  ],
  [
    "a relative XDG_RUNTIME_DIR",
    { XDG_RUNTIME_DIR: "./x" },
    undefined,
    /^XDG_RUNTIME_DIR must be an absolute path/,
  ],
  [
    "a relative APEX_STATE_DIR",
    { ...HOME, APEX_STATE_DIR: "s" },
    undefined,
    /^APEX_STATE_DIR must be an absolute/,
  ],
  ["no home directory", {}, undefined, /^HOME is not set; set it, or APEX_RUNTIME_DIR$/],
  ["an empty --socket", HOME, "", /^--socket: the path is empty \(/],
  ["a --socket named as the events socket", HOME, "/r/events.socket", /is the name of another socket/],
];

for (const [name, env, socket, message] of refused) {
  Deno.test(`resolvePaths() refuses ${name}`, () => {
    const flags = socket === undefined ? {} : { socket };
    const error = assertThrows(() => resolveWith(env, flags), ApexError);
    assertEquals(error.code, "usage");
    assertMatch(error.message, message);
  });
}

Deno.test("resolvePaths() accepts a socket path as long as the kernel does, and no longer", async () => {
  await using dir = await TempDir.make();
  const name = "/events.socket";
  const longest = dir.join("x".repeat(MAX_SOCKET_PATH_BYTES - dir.path.length - 1 - name.length));
  const { eventsSocket } = resolveWith({ ...HOME, APEX_RUNTIME_DIR: longest });
  await Deno.mkdir(longest);
  Deno.listen({ transport: "unix", path: eventsSocket }).close();
  const error = assertThrows(() => resolveWith({ ...HOME, APEX_RUNTIME_DIR: `${longest}x` }), ApexError);
  assertMatch(
    error.message,
    /too long for a Unix socket: \d+ bytes, \d+ at most \(it comes from APEX_RUNTIME_DIR/,
  );
});

Deno.test("prepareDirectories() creates both directories for this user alone, and can be called again", async () => {
  await using dir = await TempDir.make();
  const paths = resolveWith({
    ...HOME,
    APEX_RUNTIME_DIR: dir.join("a/run"),
    APEX_STATE_DIR: dir.join("b/state"),
  });
  await prepareDirectories(paths);
  await prepareDirectories(paths);
  for (const path of [paths.runtimeDir, paths.stateDir]) {
    assertEquals(((await Deno.stat(path)).mode ?? 0) & 0o777, 0o700);
  }
});

type Sabotage = (path: string) => Promise<void>;

const unfit: [name: string, sabotage: Sabotage, message: RegExp][] = [
  ["is a symbolic link", async (path) => {
    await Deno.mkdir(`${path}-real`, { mode: 0o700 });
    await Deno.symlink(`${path}-real`, path);
  }, /: it is a symbolic link; remove it/],
  ["is a file", (path) => Deno.writeTextFile(path, ""), /: it is not a directory;/],
  ["others can enter", async (path) => {
    await Deno.mkdir(path);
    await Deno.chmod(path, 0o755);
  }, /: it is open to other users \(its mode is 0755\); run: chmod 700 \//],
  ["belongs to another user", async (path) => {
    await Deno.mkdir(path, { mode: 0o700 });
    await Deno.chown(path, 12345, 12345);
  }, /: it belongs to user 12345, not to you \(\d+\)/],
];

for (const [name, sabotage, message] of unfit) {
  Deno.test({
    name: `prepareDirectories() refuses a directory that ${name}`,
    // Only root can give a directory away.
    ignore: name.startsWith("belongs") && Deno.uid() !== 0,
    async fn() {
      await using dir = await TempDir.make();
      for (const variable of ["APEX_RUNTIME_DIR", "APEX_STATE_DIR"]) {
        const path = dir.join(variable);
        await sabotage(path);
        const env = { ...HOME, APEX_RUNTIME_DIR: dir.join("run"), APEX_STATE_DIR: dir.join("state") };
        const paths = resolveWith({ ...env, [variable]: path });
        const error = await assertRejects(() => prepareDirectories(paths), ApexError);
        assertMatch(error.message, new RegExp(`^refusing to use ${path}`));
        assertMatch(error.message, message);
      }
    },
  });
}

Deno.test("prepareDirectories() accepts a --socket directory that others may read, but not write", async () => {
  await using dir = await TempDir.make();
  const chosen = dir.join("chosen");
  await Deno.mkdir(chosen);
  const paths = resolveWith({ ...HOME, APEX_STATE_DIR: dir.join("s") }, { socket: `${chosen}/my.socket` });
  await Deno.chmod(chosen, 0o755);
  await prepareDirectories(paths);
  await Deno.chmod(chosen, 0o1777);
  const error = await assertRejects(() => prepareDirectories(paths), ApexError);
  assertMatch(error.message, /open to other users \(its mode is 1777\); run: chmod go-w/);
});
