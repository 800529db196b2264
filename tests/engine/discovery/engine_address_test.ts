import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { encodeHex } from "@std/encoding/hex";
import { discoverEngine, type DiscoverOptions } from "../../../src/engine/discovery/engine_address.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";
import { TempDir } from "../../support/temp_dir.ts";

const EMBEDDED = "/run/apex-embedded.sock";
const nobodyAnswers = () => Promise.resolve("absent");

function discover(engine: string, env: Record<string, string>, more: Partial<DiscoverOptions> = {}) {
  return discoverEngine({
    engine,
    env: (name) => env[name],
    embeddedSocketPath: EMBEDDED,
    probe: nobodyAnswers,
    ...more,
  });
}

/** Creates a home directory with Docker contexts. Returns its path. */
async function homeWith(
  temp: TempDir,
  { current, contexts = {} }: { current?: string; contexts?: Record<string, unknown> },
): Promise<string> {
  const docker = temp.join(".docker");
  await Deno.mkdir(docker);
  await Deno.writeTextFile(`${docker}/config.json`, JSON.stringify({ auths: {}, currentContext: current }));
  for (const [name, meta] of Object.entries(contexts)) {
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(name));
    const hex = encodeHex(digest);
    await Deno.mkdir(`${docker}/contexts/meta/${hex}`, { recursive: true });
    await Deno.writeTextFile(`${docker}/contexts/meta/${hex}/meta.json`, JSON.stringify(meta));
  }
  return temp.path;
}

const endpoint = (Host: string) => ({ Name: "x", Endpoints: { docker: { Host } } });

Deno.test("discoverEngine() uses a named engine, running or not, in the documented order", async () => {
  await using temp = await TempDir.make();
  const HOME = await homeWith(temp, {
    current: "current",
    contexts: { current: endpoint("unix:///current.sock"), other: endpoint("unix:///other.sock") },
  });
  const cases: [engine: string, env: Record<string, string>, socketPath: string, source: string][] = [
    ["unix:///a.sock", { DOCKER_HOST: "unix:///b.sock" }, "/a.sock", "--engine"],
    ["embedded", { DOCKER_HOST: "unix:///b.sock" }, EMBEDDED, "--engine"],
    ["auto", { HOME, DOCKER_HOST: "unix:///b.sock", DOCKER_CONTEXT: "other" }, "/b.sock", "DOCKER_HOST"],
    ["docker", { HOME, DOCKER_HOST: "unix:///b.sock" }, "/b.sock", "DOCKER_HOST"],
    ["auto", { HOME, DOCKER_HOST: "", DOCKER_CONTEXT: "other" }, "/other.sock", 'context "other"'],
    ["auto", { HOME }, "/current.sock", 'context "current"'],
    ["auto", { HOME: "/nope", DOCKER_CONFIG: `${HOME}/.docker` }, "/current.sock", 'context "current"'],
  ];
  for (const [engine, env, socketPath, source] of cases) {
    const found = await discover(engine, env);
    assertEquals(found, { socketPath, source, embedded: engine === "embedded" });
  }
});

Deno.test("discoverEngine() tries the default sockets of the requested engine", async () => {
  const HOME = "/h";
  const XDG_RUNTIME_DIR = "/x";
  const cases: [engine: string, alive: string[], socketPath: string][] = [
    ["auto", ["/var/run/docker.sock", "/x/podman/podman.sock"], "/var/run/docker.sock"],
    ["auto", ["/x/docker.sock", "/h/.rd/docker.sock"], "/x/docker.sock"],
    ["auto", ["/h/.colima/default/docker.sock"], "/h/.colima/default/docker.sock"],
    ["auto", ["/run/podman/podman.sock", EMBEDDED], "/run/podman/podman.sock"],
    ["docker", ["/x/podman/podman.sock", "/h/.orbstack/run/docker.sock"], "/h/.orbstack/run/docker.sock"],
    ["podman", ["/var/run/docker.sock", "/x/podman/podman.sock"], "/x/podman/podman.sock"],
  ];
  for (const [engine, alive, socketPath] of cases) {
    const probe = (path: string) => Promise.resolve(alive.includes(path) ? undefined : "absent");
    const found = await discover(engine, { HOME, XDG_RUNTIME_DIR, DOCKER_CONTEXT: "default" }, { probe });
    assertEquals(found, { socketPath, source: "default", embedded: false }, `${engine} ${alive}`);
  }
});

Deno.test("discoverEngine() with podman ignores DOCKER_HOST and contexts", async () => {
  const probe = (path: string) => Promise.resolve(path === "/run/podman/podman.sock" ? undefined : "absent");
  const env = { DOCKER_HOST: "tcp://far:2375", DOCKER_CONTEXT: "none" };
  assertEquals((await discover("podman", env, { probe })).socketPath, "/run/podman/podman.sock");
});

Deno.test("discoverEngine() reports what it tried when no engine answers, and never falls back to the embedded engine", async () => {
  const error = await assertRejects(() => discover("auto", { HOME: "/h" }), ApexError);
  assertEquals(error.code, "engine");
  for (
    const part of ["/var/run/docker.sock (absent)", "/h/.rd/docker.sock", "podman.sock", "--engine embedded"]
  ) {
    assertStringIncludes(error.message, part);
  }
});

Deno.test("discoverEngine() names the source of an address that it cannot use", async () => {
  await using temp = await TempDir.make();
  const HOME = await homeWith(temp, {
    current: "remote",
    contexts: { remote: endpoint("ssh://me@far"), empty: { Name: "empty", Endpoints: {} } },
  });
  const cases: [engine: string, env: Record<string, string>, says: string[]][] = [
    ["auto", { DOCKER_HOST: "tcp://10.0.0.1:2375" }, ["DOCKER_HOST", "tcp:// is not supported"]],
    ["auto", { DOCKER_HOST: "npipe:////./pipe/docker_engine" }, ["DOCKER_HOST", "npipe:// is not supported"]],
    ["auto", { DOCKER_HOST: "/var/run/docker.sock" }, ["DOCKER_HOST", "not an engine", "unix://PATH"]],
    ["auto", { DOCKER_HOST: "unix://docker.sock" }, ["DOCKER_HOST", "absolute"]],
    ["auto", { DOCKER_HOST: `unix:///${"x".repeat(120)}` }, ["DOCKER_HOST", "too long"]],
    ["auto", { HOME }, ['context "remote"', "ssh:// is not supported"]],
    ["auto", { HOME, DOCKER_CONTEXT: "gone" }, ["DOCKER_CONTEXT", '"gone"', "no such context"]],
    ["auto", { HOME, DOCKER_CONTEXT: "empty" }, ['"empty"', "no endpoint"]],
    ["tcp://far:1", {}, ["--engine", "tcp:// is not supported"]],
    ["containerd", {}, ["--engine", '"containerd"', "auto, docker, podman, embedded"]],
    ["", {}, ["--engine"]],
  ];
  for (const [engine, env, says] of cases) {
    const error = await assertRejects(() => discover(engine, env), ApexError);
    assertEquals(error.code, "usage");
    for (const part of says) assertStringIncludes(error.message, part);
  }
  const fromConfig = await assertRejects(() => discover("x", {}, { engineSource: "/etc/c.toml" }), ApexError);
  assertStringIncludes(fromConfig.message, "/etc/c.toml says");
});

Deno.test("discoverEngine() names the Docker file that it cannot read", async () => {
  await using temp = await TempDir.make();
  await Deno.mkdir(temp.join(".docker"));
  await Deno.writeTextFile(temp.join(".docker/config.json"), "{ not json");
  const error = await assertRejects(
    () => discover("auto", { HOME: temp.path }),
    ApexError,
    "is not valid JSON",
  );
  assertStringIncludes(error.message, temp.join(".docker/config.json"));
});

Deno.test("discoverEngine() skips stale sockets and plain files", async () => {
  await using temp = await TempDir.make();
  await Deno.mkdir(temp.join(".docker/run"), { recursive: true });
  await Deno.writeTextFile(temp.join(".docker/run/docker.sock"), "not a socket");
  await Deno.mkdir(temp.join(".rd"));
  using _listener = Deno.listen({ transport: "unix", path: temp.join(".rd/docker.sock") });
  const found = await discoverEngine({
    engine: "docker",
    env: (name) => name === "HOME" ? temp.path : undefined,
    embeddedSocketPath: EMBEDDED,
  });
  // On a machine with Docker, its own engine answers first.
  const usual = ["/var/run/docker.sock", temp.join(".rd/docker.sock")];
  assertEquals(usual.includes(found.socketPath), true);
});
