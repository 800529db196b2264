import { assertEquals } from "@std/assert";
import type { ContainerChange } from "../../../src/containers/changes/container_change.ts";
import { normalizeEvent } from "../../../src/containers/changes/normalize_event.ts";
import type { EngineKind } from "../../../src/engine/engine_types.ts";
import { engineEvent, T0_MS } from "../../support/containers/engine_feed.ts";

function kindOf(action: string, engine: EngineKind = "docker"): ContainerChange["kind"] | undefined {
  return normalizeEvent(engineEvent(action, "c", { timeMs: T0_MS }), { engine })?.kind;
}

const KINDS: Record<string, ContainerChange["kind"] | undefined> = {
  create: "create",
  start: "start",
  die: "die",
  died: "die",
  stop: "stop",
  kill: "kill",
  oom: "oom",
  pause: "pause",
  unpause: "unpause",
  rename: "rename",
  restart: "restart",
  destroy: "remove",
  remove: "remove",
  "health_status: healthy": "health",
  "health_status: unhealthy": "health",
  "health_status: running": undefined,
  ["health_status"]: undefined,
  "exec_create: sh -c true": undefined,
  ["exec_die"]: undefined,
  ["exec_died"]: undefined,
  attach: undefined,
  resize: undefined,
  top: undefined,
  init: undefined,
  sync: undefined,
  cleanup: undefined,
  constructor: undefined,
};

Deno.test("normalizeEvent() translates each action of both engines", () => {
  for (const [action, kind] of Object.entries(KINDS)) assertEquals(kindOf(action), kind, action);
});

Deno.test("normalizeEvent() ignores events of other types", () => {
  const event = { ...engineEvent("destroy", "v", { timeMs: T0_MS }), type: "volume" };
  assertEquals(normalizeEvent(event, { engine: "docker" }), undefined);
});

Deno.test("normalizeEvent() reads Podman's health from the top level or from an attribute", () => {
  const event = engineEvent("health_status", "c", { timeMs: T0_MS });
  const top = normalizeEvent({ ...event, healthStatus: "healthy" }, { engine: "podman" });
  const attribute = normalizeEvent(
    { ...event, attributes: { ...event.attributes, health_status: "unhealthy" } },
    { engine: "podman" },
  );
  assertEquals(top?.kind === "health" && top.status, "healthy");
  assertEquals(attribute?.kind === "health" && attribute.status, "unhealthy");
});

Deno.test("normalizeEvent() distinguishes labels from the engine's own attributes", () => {
  const attributes = { team: "a", exitCode: "3", containerExitCode: "3", podId: "" };
  const die = engineEvent("die", "c", { timeMs: T0_MS, attributes });
  const create = engineEvent("create", "c", { timeMs: T0_MS, attributes: { team: "a", exitCode: "3" } });
  assertEquals(normalizeEvent(create, { engine: "docker" })?.labels, { team: "a", exitCode: "3" });
  assertEquals(normalizeEvent(die, { engine: "podman" })?.labels, { team: "a" });
});

Deno.test("normalizeEvent() ignores an attribute that is also a label on Docker, and reads it on Podman", () => {
  const knownLabels = { exitCode: "0", signal: "9" };
  const die = engineEvent("die", "c", { timeMs: T0_MS, attributes: { exitCode: "0" } });
  const kill = engineEvent("kill", "c", { timeMs: T0_MS, attributes: { signal: "9" } });
  const code = (engine: EngineKind): number | undefined => {
    const signal = normalizeEvent(die, { engine, knownLabels });
    return signal?.kind === "die" ? signal.exitCode : undefined;
  };
  assertEquals([code("docker"), code("embedded"), code("podman")], [undefined, undefined, 0]);
  const signal = normalizeEvent(kill, { engine: "docker", knownLabels });
  assertEquals(signal?.kind === "kill" && signal.signal, undefined);
});
