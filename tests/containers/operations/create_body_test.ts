import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import type { ContainerSpec } from "../../../src/containers/operations/container_spec.ts";
import { createBody } from "../../../src/containers/operations/create_body.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";

/** The body as it is sent. */
function sent(spec: ContainerSpec): unknown {
  return JSON.parse(JSON.stringify(createBody(spec)));
}

Deno.test("createBody() leaves unspecified options to the image and the engine", () => {
  assertEquals(sent({ image: "busybox" }), {
    Image: "busybox",
    Labels: {},
    Env: [],
    Tty: false,
    OpenStdin: false,
    HostConfig: { AutoRemove: false },
  });
});

Deno.test("createBody() translates every option", () => {
  const spec: ContainerSpec = {
    image: "localhost:5000/a/b:1",
    name: "apex-task-t1",
    entrypoint: ["/bin/sh", "-c"],
    cmd: ["echo $A"],
    labels: { "apex.managed": "true", "apex.task-id": "t1" },
    env: { A: "b=c", EMPTY: "" },
    mounts: [
      { source: "/srv/a:b", target: "/data", readOnly: true },
      { source: "cache", target: "/var/cache/" },
    ],
    workdir: "/data",
    user: "1000:100",
    network: "none",
    cpus: 1.5,
    memoryBytes: 64 * 1024 * 1024,
    pidsLimit: 100,
    capAdd: ["NET_ADMIN"],
    capDrop: ["ALL"],
    healthcheck: { cmd: ["true"], intervalMs: 1_500, timeoutMs: 100, startPeriodMs: 2_000, retries: 2 },
    autoRemove: true,
    tty: true,
    openStdin: true,
    stdinOnce: true,
    ports: [
      { containerPort: 80, protocol: "tcp" },
      { containerPort: 80, protocol: "tcp", hostPort: 8080, hostIp: "::1" },
      { containerPort: 53, protocol: "udp", hostPort: 5353 },
    ],
    gpus: 2,
  };
  assertEquals(sent(spec), {
    Image: "localhost:5000/a/b:1",
    Entrypoint: ["/bin/sh", "-c"],
    Cmd: ["echo $A"],
    Labels: { "apex.managed": "true", "apex.task-id": "t1" },
    Env: ["A=b=c", "EMPTY="],
    WorkingDir: "/data",
    User: "1000:100",
    Tty: true,
    OpenStdin: true,
    StdinOnce: true,
    ExposedPorts: { "80/tcp": {}, "53/udp": {} },
    Healthcheck: {
      Test: ["CMD", "true"],
      Interval: 1_500_000_000,
      Timeout: 100_000_000,
      StartPeriod: 2_000_000_000,
      Retries: 2,
    },
    HostConfig: {
      AutoRemove: true,
      NetworkMode: "none",
      NanoCpus: 1_500_000_000,
      Memory: 67_108_864,
      PidsLimit: 100,
      Mounts: [
        { Type: "bind", Source: "/srv/a:b", Target: "/data", ReadOnly: true },
        { Type: "volume", Source: "cache", Target: "/var/cache/", ReadOnly: false },
      ],
      PortBindings: {
        "80/tcp": [{ HostIp: "", HostPort: "" }, { HostIp: "::1", HostPort: "8080" }],
        "53/udp": [{ HostIp: "", HostPort: "5353" }],
      },
      DeviceRequests: [{ Driver: "", Count: 2, Capabilities: [["gpu"]], Options: {} }],
      CapAdd: ["NET_ADMIN"],
      CapDrop: ["ALL"],
    },
  });
});

Deno.test("createBody() mounts the project directory and works there, unless `workdir` is set", () => {
  const mounts = [{ source: "/a", target: "/b", readOnly: true }];
  const spec = { image: "a", mounts, projectDir: "/home/me/x" };
  const body = createBody(spec) as { WorkingDir: string; HostConfig: { Mounts: { Target: string }[] } };
  assertEquals(body.HostConfig.Mounts.map(({ Target }) => Target), ["/b", "/workspace"]);
  assertEquals(body.WorkingDir, "/workspace");
  assertEquals(createBody({ ...spec, workdir: "/y" }).WorkingDir, "/y");
});

Deno.test("createBody() works in the project directory itself if the engine cannot mount", () => {
  const traits = { canMount: false, hasInit: false };
  const { WorkingDir, HostConfig } = createBody({ image: "a", projectDir: "/home/me/x" }, traits);
  assertEquals({ WorkingDir, HostConfig }, { WorkingDir: "/home/me/x", HostConfig: { AutoRemove: false } });
});

Deno.test("createBody() uses an init if the engine has one, or as the spec says", () => {
  const asked = (init: NonNullable<ContainerSpec["init"]>, hasInit: boolean): unknown => {
    const { HostConfig } = createBody({ image: "a", init }, { canMount: true, hasInit });
    return (HostConfig as { Init?: boolean }).Init;
  };
  assertEquals([asked("if-available", true), asked("if-available", false)], [true, undefined]);
  assertEquals([asked(true, false), asked(false, true)], [true, false]);
});

Deno.test("createBody() accepts an image's id", () => {
  const id = "ab".repeat(32);
  for (const image of [id, `sha256:${id}`]) {
    assertEquals((sent({ image }) as { Image: string }).Image, image);
  }
});

Deno.test("createBody() refuses what no engine accepts, naming the value", () => {
  const mount = (source: string, target: string) => ({ mounts: [{ source, target }] });
  const cases: [Partial<ContainerSpec>, string][] = [
    [{ image: "" }, '""'],
    [{ image: "a b" }, '"a b"'],
    [{ image: "BusyBox" }, 'invalid image "BusyBox": use lower case'],
    [{ name: "a" }, 'container name "a"'],
    [{ name: "a b" }, 'container name "a b"'],
    [{ name: "-ab" }, 'container name "-ab"'],
    [{ name: "bär" }, 'container name "bär"'],
    [{ workdir: "src" }, 'invalid working directory "src": use an absolute path'],
    [{ user: "a:b:c" }, 'user "a:b:c"'],
    [{ user: "" }, 'user ""'],
    [{ network: "" }, 'network ""'],
    [{ cpus: 0 }, "processors 0"],
    [{ cpus: -1 }, "processors -1"],
    [{ cpus: NaN }, "processors NaN"],
    [{ cpus: Infinity }, "processors Infinity"],
    [{ memoryBytes: 6 * 1024 * 1024 - 1 }, "memory limit 6291455"],
    [{ memoryBytes: 1e7 + 0.5 }, "memory limit 10000000.5"],
    [{ memoryBytes: NaN }, "memory limit NaN"],
    [{ pidsLimit: 0 }, "limit of processes 0"],
    [{ pidsLimit: 1.5 }, "limit of processes 1.5"],
    [{ ports: [{ containerPort: 0, protocol: "tcp" }] }, "port 0"],
    [{ ports: [{ containerPort: 80, hostPort: 65_536, protocol: "tcp" }] }, "port 65536"],
    [{ gpus: 0 }, "number of GPUs 0"],
    [{ gpus: [] }, "the list of GPUs is empty"],
    [mount("/a", "b"), 'mount target "b"'],
    [mount("/a", "/"), 'mount target "/"'],
    [mount("/a", "//"), 'mount target "//"'],
    [mount("./a", "/b"), 'mount source "./a"'],
    [mount("", "/b"), 'mount source ""'],
    [{ mounts: [{ source: "/a", target: "/b" }, { source: "/c", target: "/b/" }] }, 'mount target "/b/"'],
    [{ env: { "A=B": "c" } }, '"A=B"'],
    [{ env: { "": "c" } }, 'environment variable ""'],
    [{ env: { A: "b\0" } }, 'environment variable "A"'],
    [{ cmd: ["a\0b"] }, "command"],
    [{ entrypoint: ["a\0b"] }, "entrypoint"],
    [{ capAdd: ["NET-ADMIN"] }, 'capability "NET-ADMIN"'],
    [{ capDrop: [""] }, 'capability ""'],
    [{ labels: { "": "x" } }, 'label ""'],
    [{ labels: { x: "y".repeat(70_000) } }, "70001 characters"],
    [{ healthcheck: { cmd: [] } }, "it needs a command"],
    [{ healthcheck: { cmd: ["true"], intervalMs: 0.5 } }, "interval 0.5"],
    [{ healthcheck: { cmd: ["true"], timeoutMs: 0 } }, "timeout 0"],
    [{ healthcheck: { cmd: ["true"], retries: -1 } }, "retries -1"],
  ];
  for (const [part, words] of cases) {
    const error = assertThrows(() => createBody({ image: "busybox", ...part }), ApexError);
    assertEquals(error.code, "usage", words);
    assertStringIncludes(error.message, words);
  }
});

Deno.test("createBody() requests all GPUs, a number of them, or some by id", () => {
  const requests = (gpus: ContainerSpec["gpus"]) =>
    (sent({ image: "a", ...(gpus && { gpus }) }) as { HostConfig: Record<string, unknown> }).HostConfig
      .DeviceRequests;
  const request = { Driver: "", Capabilities: [["gpu"]], Options: {} };
  assertEquals(requests("all"), [{ ...request, Count: -1 }]);
  assertEquals(requests(["0", "GPU-3a"]), [{ ...request, Count: 0, DeviceIDs: ["0", "GPU-3a"] }]);
});

Deno.test("createBody() accepts values at the limits", () => {
  const spec = { cpus: 0.01, memoryBytes: 6 * 1024 * 1024, pidsLimit: 1, name: "ab" };
  assertEquals((sent({ image: "a", ...spec }) as { HostConfig: unknown }).HostConfig, {
    AutoRemove: false,
    NanoCpus: 10_000_000,
    Memory: 6_291_456,
    PidsLimit: 1,
  });
});
