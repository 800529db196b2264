import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { ApexError } from "../../src/platform/apex_error.ts";
import { checkSessionName, sessionContainer } from "../../src/sessions/attach_request.ts";

const options = { defaults: { image: "base", cmd: ["bash"] }, containerName: "apex-session-dev" };

Deno.test("checkSessionName() accepts valid names, and throws for others", () => {
  for (const name of ["a", "0", "Dev_1.x-y", "a".repeat(64)]) checkSessionName(name);
  for (const name of ["", ".a", "-a", "a b", "a/b", "é", "a".repeat(65), "a\n"]) {
    const error = assertThrows(() => checkSessionName(name), ApexError, "invalid session name");
    assertEquals(error.code, "usage");
    assertStringIncludes(error.message, JSON.stringify(name));
  }
});

Deno.test("sessionContainer() returns a container with a terminal and the labels of a session", () => {
  assertEquals(sessionContainer({ name: "dev", ttlMs: 5_000, env: { A: "1" } }, options), {
    image: "base",
    cmd: ["bash"],
    name: "apex-session-dev",
    tty: true,
    openStdin: true,
    labels: { "apex.managed": "true", "apex.session": "dev", "apex.session-ttl-ms": "5000" },
    env: { A: "1", APEX_SESSION_NAME: "dev" },
    stopSignal: "SIGHUP",
    init: "if-available",
  });
});

Deno.test("sessionContainer() does not apply the default command to another image", () => {
  assertEquals(sessionContainer({ name: "dev", image: "alpine" }, options).cmd, undefined);
  assertEquals(sessionContainer({ name: "dev", image: "alpine", cmd: ["ash"] }, options).cmd, ["ash"]);
});

Deno.test("sessionContainer() takes over the fields of the request", () => {
  const asked = {
    mounts: [{ source: "/a", target: "/b", readOnly: true }],
    projectDir: "/home/me/x",
    workdir: "/y",
    init: false,
  };
  const { mounts, projectDir, workdir, init } = sessionContainer({ name: "dev", ...asked }, options);
  assertEquals({ mounts, projectDir, workdir, init }, asked);
});

Deno.test("sessionContainer() takes over labels and ports, and overrides labels of apex", () => {
  const ports = [{ containerPort: 80, protocol: "tcp", hostPort: 8080 }] as const;
  const labels = { tier: "test", "apex.session": "another" };
  const spec = sessionContainer({ name: "dev", labels, ports }, options);
  assertEquals(spec.labels, { tier: "test", "apex.session": "dev", "apex.managed": "true" });
  assertEquals(spec.ports, ports);
});
