/** What a container may ask of the machine: refused and taken on the embedded engine as on Docker. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { dockerAvailable, startDocker } from "../../support/docker_engine.ts";
import { TestEngine } from "../../support/embedded_engine.ts";
import { TempDir } from "../../support/temp_dir.ts";
import { EngineSocketClient } from "./engine_socket_client.ts";

const CPUS = navigator.hardwareConcurrency;
const CPU_RANGE = `Range of CPUs is from 0.01 to ${CPUS}.00, as there are only ${CPUS} CPUs available`;
const bind = (fields: Record<string, unknown>) => ({ Mounts: [{ Type: "bind", ...fields }] });
const invalid = (type: string, detail: string) => `invalid mount config for type "${type}": ${detail}`;
const badVolume = (name: string) =>
  `create ${name}: "${name}" includes invalid characters for a local volume name, only ` +
  `"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`;

/** HostConfig, and status and message of the refusal; none: it is taken. DIR stands for a directory that is there. */
const CASES: readonly (readonly [Record<string, unknown>, number?, string?])[] = [
  [{ Memory: 1_000 }, 400, "Minimum memory limit allowed is 6MB"],
  [{ Memory: -1 }, 400, "Minimum memory limit allowed is 6MB"],
  [{ Memory: 6 * 1024 * 1024 - 1 }, 400, "Minimum memory limit allowed is 6MB"],
  [{ Memory: 6 * 1024 * 1024 }],
  [
    { MemorySwap: 1_000 },
    400,
    "You should always set the Memory limit when using Memoryswap limit, see usage",
  ],
  [
    { Memory: 8_000_000, MemorySwap: 7_000_000 },
    400,
    "Minimum memoryswap limit should be larger than memory limit, see usage",
  ],
  [{ NanoCpus: -1 }, 400, CPU_RANGE],
  [{ NanoCpus: 1_000_000_000_000 }, 400, CPU_RANGE],
  [{ NanoCpus: 500_000_000 }],
  [
    { CpuPeriod: 1 },
    400,
    "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
  ],
  [{ CpuQuota: 1 }, 400, "CPU cfs quota can not be less than 1ms (i.e. 1000)"],
  [{ PidsLimit: -5 }],
  [{ PidsLimit: 10 }],
  [{ CapAdd: ["NOPE"] }, 400, 'invalid CapAdd: unknown capability: "CAP_NOPE"'],
  [{ CapDrop: ["cap_nope"] }, 400, 'invalid CapDrop: unknown capability: "CAP_NOPE"'],
  [{ CapAdd: ["net_admin"], CapDrop: ["ALL"] }],
  [bind({ Source: "DIR", Target: "/x" })],
  [bind({ Source: "DIR/no", Target: "/x" }), 400, invalid("bind", "bind source path does not exist: DIR/no")],
  [
    bind({ Source: "rel", Target: "/x" }),
    400,
    invalid("bind", "invalid mount path: 'rel' mount path must be absolute"),
  ],
  [
    bind({ Source: "DIR", Target: "rel" }),
    400,
    invalid("bind", "invalid mount path: 'rel' mount path must be absolute"),
  ],
  [
    bind({ Source: "DIR", Target: "/" }),
    400,
    invalid("bind", "invalid specification: destination can't be '/'"),
  ],
  [bind({ Source: "DIR", Target: "" }), 400, invalid("bind", "field Target must not be empty")],
  [bind({ Source: "", Target: "/x" }), 400, invalid("bind", "field Source must not be empty")],
  [{ Mounts: [{ Type: "foo", Target: "/x" }] }, 400, invalid("foo", "mount type unknown")],
  [{ Mounts: [{ Type: "tmpfs", Target: "/x" }] }],
  [{ Mounts: [{ Type: "volume", Source: "some", Target: "/x" }] }],
  [
    { Mounts: [{ Type: "volume", Source: "v", Target: "/x" }] },
    400,
    "create v: volume name is too short, names should be at least two alphanumeric characters",
  ],
  [{ Binds: ["DIR:/x"], ...bind({ Source: "DIR", Target: "/x" }) }, 400, "Duplicate mount point: /x"],
  [{ Binds: ["DIR:/x", "DIR:/x"] }, 400, "Duplicate mount point: /x"],
  [{ Binds: ["DIR:/x:ro"] }],
  [{ Binds: ["DIR/made:/x"] }],
  [{ Binds: ["/x"] }],
  [{ Binds: ["some:/x"] }],
  [{ Binds: ["rel/x:/x"] }, 400, badVolume("rel/x")],
  [{ Binds: ["v!:/x"] }, 400, badVolume("v!")],
  [
    { Binds: ["DIR:x"] },
    500,
    `invalid volume specification: 'DIR:x': ${
      invalid("bind", "invalid mount path: 'x' mount path must be absolute")
    }`,
  ],
  [
    { Binds: ["DIR:/"] },
    500,
    `invalid volume specification: 'DIR:/': ${
      invalid("bind", "invalid specification: destination can't be '/'")
    }`,
  ],
  [{ Binds: ["DIR:/x:foo"] }, 500, "invalid mode: foo"],
  [{ Binds: ["DIR:/x:ro:z"] }, 500, "invalid volume specification: 'DIR:/x:ro:z'"],
  [{ Binds: [":/x"] }, 500, "invalid volume specification: ':/x'"],
  [{ Binds: [""] }, 500, "invalid volume specification: ''"],
];

async function createAll(t: Deno.TestContext, socketPath: string): Promise<void> {
  using engine = new EngineSocketClient(socketPath);
  await using temp = await TempDir.make();
  const real = (text: string) => text.replaceAll("DIR", temp.path);
  for (const [host, status = 201, message] of CASES) {
    await t.step(JSON.stringify(host), async () => {
      const HostConfig = { NetworkMode: "none", ...JSON.parse(real(JSON.stringify(host))) };
      const reply = await engine.call("POST", "/containers/create", {
        Image: "busybox:local",
        Cmd: ["true"],
        HostConfig,
      });
      assertEquals([reply.status, reply.body.message], [status, message && real(message)]);
    });
  }
}

Deno.test("the embedded engine takes and refuses what Docker takes and refuses of a machine", async (t) => {
  await using engine = await TestEngine.start();
  await createAll(t, engine.socketPath);
});

Deno.test({
  name: "Docker takes and refuses of a machine what the embedded engine does",
  ignore: !(await dockerAvailable()),
  async fn(t) {
    await using engine = await startDocker();
    await createAll(t, engine.socketPath);
  },
});

Deno.test("the embedded engine warns of each limit and mount that it does not hold to", async () => {
  await using engine = await TestEngine.start();
  const HostConfig = {
    Memory: 64 * 1024 * 1024,
    NanoCpus: 500_000_000,
    PidsLimit: 9,
    CapDrop: ["ALL"],
    Binds: [`${engine.dir}:/workspace`, "cache:/cache"],
  };
  const { status, body } = await engine.call("POST", "/containers/create", { Image: "x", HostConfig });
  assertEquals(status, 201);
  const warnings = (body as { Warnings: string[] }).Warnings;
  const expected = [
    "not visible at /workspace",
    "there will be no volume at /cache",
    "memory limit (67108864 bytes)",
    "CPU limit (0.5)",
    "limit of processes (9)",
    "change of capabilities",
  ];
  assertEquals(warnings.length, expected.length);
  for (const [index, part] of expected.entries()) assertStringIncludes(warnings[index]!, part);
});

Deno.test("inspect tells limits and mounts as they were asked for", async () => {
  await using engine = await TestEngine.start();
  const HostConfig = {
    Memory: 64 * 1024 * 1024,
    NanoCpus: 500_000_000,
    PidsLimit: 9,
    CapDrop: ["all"],
    Binds: [`${engine.dir}:/workspace:ro`],
    Mounts: [{ Type: "volume", Source: "cache", Target: "/cache" }],
  };
  const inspection = await engine.inspect(await engine.create("true", { config: { HostConfig } }));
  const { Memory, NanoCpus, PidsLimit, CapDrop, CapAdd, Binds } = inspection["HostConfig"] as
    & typeof HostConfig
    & {
      CapAdd: null;
    };
  assertEquals({ Memory, NanoCpus, PidsLimit, CapDrop, CapAdd, Binds }, {
    Memory: 64 * 1024 * 1024,
    NanoCpus: 500_000_000,
    PidsLimit: 9,
    CapDrop: ["ALL"],
    CapAdd: null,
    Binds: [`${engine.dir}:/workspace:ro`],
  });
  const mounts = inspection["Mounts"] as { Type: string; Source: string; Destination: string; RW: boolean }[];
  assertEquals(mounts.map(({ Type, Source, Destination, RW }) => ({ Type, Source, Destination, RW })), [
    { Type: "bind", Source: engine.dir, Destination: "/workspace", RW: false },
    { Type: "volume", Source: "", Destination: "/cache", RW: true },
  ]);
});

Deno.test("a start makes the source that a bind may make, and not that of a mount", async () => {
  await using engine = await TestEngine.start();
  const [made, gone] = [`${engine.dir}/made/deep`, `${engine.dir}/gone`];
  const first = await engine.run("pwd", {
    config: { WorkingDir: "/x", HostConfig: { Binds: [`${made}:/x`] } },
  });
  assertEquals(await engine.wait(first), 0);
  assertEquals((await engine.logs(first)).stdout, `${made}\n`);

  await Deno.mkdir(gone);
  const HostConfig = bind({ Source: gone, Target: "/x" });
  const second = await engine.create("true", { config: { HostConfig } });
  await Deno.remove(gone);
  const { status, body } = await engine.call("POST", `/containers/${second}/start`);
  const message = invalid("bind", `bind source path does not exist: ${gone}`);
  assertEquals({ status, body }, { status: 400, body: { message } });
  assertEquals((await engine.inspect(second)).State["Error"], message);
  assert(!(await engine.events()).some(({ Action, Actor }) => Action === "start" && Actor.ID === second));
});
