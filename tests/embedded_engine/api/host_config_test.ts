/** HostConfig: malformed mounts are refused as on Docker, and unsupported options by name. */
import { assert, assertEquals } from "@std/assert";
import { dockerAvailable, startDocker } from "../../support/engines/docker_engine.ts";
import { TestEngine } from "../../support/engines/embedded_engine.ts";
import { EngineSocketClient } from "../../support/engines/engine_socket_client.ts";
import { TempDir } from "../../support/temp_dir.ts";

const bind = (fields: Record<string, unknown>) => ({ Mounts: [{ Type: "bind", ...fields }] });
const invalid = (type: string, detail: string) => `invalid mount config for type "${type}": ${detail}`;
const badVolume = (name: string) =>
  `create ${name}: "${name}" includes invalid characters for a local volume name, only ` +
  `"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`;

/** HostConfig, with status and message of its refusal; without them it is accepted. DIR is replaced by an existing directory. */
const CASES: readonly (readonly [Record<string, unknown>, number?, string?])[] = [
  [bind({ Source: "DIR", Target: "DIR" })],
  [
    bind({ Source: "DIR/no", Target: "DIR/no" }),
    400,
    invalid("bind", "bind source path does not exist: DIR/no"),
  ],
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
  [
    { Mounts: [{ Type: "volume", Source: "v", Target: "/x" }] },
    400,
    "create v: volume name is too short, names should be at least two alphanumeric characters",
  ],
  [{ Binds: ["DIR:/x"], ...bind({ Source: "DIR", Target: "/x" }) }, 400, "Duplicate mount point: /x"],
  [{ Binds: ["DIR:/x", "DIR:/x"] }, 400, "Duplicate mount point: /x"],
  [{ Binds: ["DIR:DIR"] }],
  [{ Binds: ["DIR/made:DIR/made"] }],
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

Deno.test("the embedded engine accepts and refuses mounts as Docker does", async (t) => {
  await using engine = await TestEngine.start();
  await createAll(t, engine.socketPath);
});

Deno.test({
  name: "Docker accepts and refuses mounts as the embedded engine does",
  ignore: !(await dockerAvailable()),
  async fn(t) {
    await using engine = await startDocker();
    await createAll(t, engine.socketPath);
  },
});

const MIB = 1024 * 1024;

/** Options that Docker supports and this engine does not, with the purposes that its refusal names. */
const REFUSED: readonly (readonly [Record<string, unknown>, string])[] = [
  [{ HostConfig: { Memory: 64 * MIB } }, "limit memory (HostConfig.Memory)"],
  [
    { HostConfig: { Memory: 64 * MIB, MemorySwap: 64 * MIB } },
    "limit memory (HostConfig.Memory, HostConfig.MemorySwap)",
  ],
  [{ HostConfig: { NanoCpus: 500_000_000 } }, "limit processors (HostConfig.NanoCpus)"],
  [{ HostConfig: { CpuQuota: 50_000 } }, "limit processors (HostConfig.CpuQuota)"],
  [{ HostConfig: { PidsLimit: 10 } }, "limit the number of processes (HostConfig.PidsLimit)"],
  [
    { HostConfig: { Memory: 64 * MIB, PidsLimit: 10 } },
    "limit memory (HostConfig.Memory), nor limit the number of processes (HostConfig.PidsLimit)",
  ],
  [{ HostConfig: { CapAdd: ["NET_ADMIN"] } }, "change capabilities (HostConfig.CapAdd)"],
  [{ HostConfig: { CapDrop: ["ALL"] } }, "change capabilities (HostConfig.CapDrop)"],
  [{ HostConfig: { Privileged: true } }, "change privileges (HostConfig.Privileged)"],
  [
    { HostConfig: { NetworkMode: "bridge" } },
    "join a network other than this machine's (HostConfig.NetworkMode)",
  ],
  [
    { HostConfig: { NetworkMode: "container:x" } },
    "join a network other than this machine's (HostConfig.NetworkMode)",
  ],
  [
    { NetworkingConfig: { EndpointsConfig: { mine: null } } },
    "join a network other than this machine's (NetworkingConfig)",
  ],
  [
    { HostConfig: { PortBindings: { "80/tcp": [{ HostIp: "", HostPort: "" }] } } },
    "publish ports (HostConfig.PortBindings)",
  ],
  [{ HostConfig: { PublishAllPorts: true } }, "publish ports (HostConfig.PublishAllPorts)"],
  [{ HostConfig: { DeviceRequests: [{ Count: -1 }] } }, "pass GPUs on (HostConfig.DeviceRequests)"],
  [{ HostConfig: { Mounts: [{ Type: "tmpfs", Target: "/x" }] } }, "mount a tmpfs at /x (HostConfig.Mounts)"],
  [
    { HostConfig: { Mounts: [{ Type: "volume", Source: "some", Target: "/x" }] } },
    "mount a volume at /x (HostConfig.Mounts)",
  ],
  [{ HostConfig: { Binds: ["/x"] } }, "mount a volume at /x (HostConfig.Binds)"],
  [{ HostConfig: { Binds: ["some:/x"] } }, "mount a volume at /x (HostConfig.Binds)"],
  [
    { HostConfig: { Binds: ["/tmp:/x"] } },
    "mount /tmp at /x, a path other than its own (HostConfig.Binds)",
  ],
  [{ HostConfig: { Binds: ["/tmp:/tmp:ro"] } }, "make /tmp read-only (HostConfig.Binds)"],
  [{ HostConfig: { Tmpfs: { "/x": "" } } }, "mount a tmpfs (HostConfig.Tmpfs)"],
  [{ HostConfig: { ReadonlyRootfs: true } }, "make the file system read-only (HostConfig.ReadonlyRootfs)"],
  [
    { HostConfig: { LogConfig: { Type: "local" } } },
    "log otherwise than in JSON files (HostConfig.LogConfig)",
  ],
  [{ HostConfig: { ShmSize: 1 << 20 } }, "honour an option (HostConfig.ShmSize)"],
  [{ HostConfig: { SomethingNew: [1] } }, "honour an option (HostConfig.SomethingNew)"],
  [{ Hostname: "h" }, "give a container a host name (Hostname)"],
  [{ Volumes: { "/x": {} } }, "make volumes (Volumes)"],
  [{ Healthcheck: { Test: ["CMD", "true"], StartInterval: 1_000_000 } }, "honour an option (Healthcheck)"],
  [{ User: "stranger" }, "run a process as another user than its own (User: stranger)"],
  [{ User: `${Deno.uid()}:4242` }, `run a process as another user than its own (User: ${Deno.uid()}:4242)`],
];

Deno.test("the embedded engine refuses unsupported options by name", async (t) => {
  await using engine = await TestEngine.start();
  for (const [config, what] of REFUSED) {
    await t.step(JSON.stringify(config), async () => {
      assertEquals(await engine.call("POST", "/containers/create", { Image: "busybox", ...config }), {
        status: 400,
        body: {
          message: `the embedded engine cannot ${what}: leave that out, or use Docker or Podman`,
        },
      });
    });
  }
  assertEquals((await engine.call("GET", "/containers/json?all=1")).body, []);
});

/** Zero values that clients send, and options that change nothing on this machine. */
const ACCEPTED: readonly Record<string, unknown>[] = [
  {
    Hostname: "",
    Volumes: null,
    ExposedPorts: { "80/tcp": {} },
    NetworkingConfig: { EndpointsConfig: { default: { IPAMConfig: null, Aliases: null, MacAddress: "" } } },
    HostConfig: {
      Binds: null,
      ConsoleSize: [0, 0],
      Memory: 0,
      MemorySwap: -1,
      MemorySwappiness: -1,
      PidsLimit: -1,
      OomKillDisable: false,
      PortBindings: {},
      LogConfig: { Type: "", Config: {} },
      RestartPolicy: { Name: "no", MaximumRetryCount: 0 },
    },
  },
  { HostConfig: { NetworkMode: "host", PidMode: "host", IpcMode: "host", Init: true } },
  { HostConfig: { LogConfig: { Type: "json-file", Config: {} } } },
  { User: String(Deno.uid()) },
  { User: `${Deno.uid()}:${Deno.gid()}` },
];

Deno.test("the embedded engine accepts options that change nothing", async () => {
  await using engine = await TestEngine.start();
  for (const config of ACCEPTED) {
    const { status, body } = await engine.call("POST", "/containers/create", { Image: "busybox", ...config });
    assertEquals(
      [status, (body as { Warnings?: string[] }).Warnings],
      [201, []],
      JSON.stringify([config, body]),
    );
  }
});

Deno.test("the embedded engine accepts the network none, and warns that it isolates nothing", async () => {
  await using engine = await TestEngine.start();
  const HostConfig = { NetworkMode: "none" };
  const { status, body } = await engine.call("POST", "/containers/create", { Image: "busybox", HostConfig });
  assertEquals([status, (body as { Warnings: string[] }).Warnings], [201, [
    "the embedded engine isolates nothing: a container with the network none still uses the network of this machine",
  ]]);
});

Deno.test("the embedded engine runs an exec only as its own user, and without other privileges", async () => {
  await using engine = await TestEngine.start();
  const id = await engine.run("sleep 60");
  const create = (exec: Record<string, unknown>) =>
    engine.call("POST", `/containers/${id}/exec`, { Cmd: ["true"], ...exec });
  const refusal = (what: string) => ({
    status: 400,
    body: { message: `the embedded engine cannot ${what}: leave that out, or use Docker or Podman` },
  });
  assertEquals(
    await create({ User: "stranger" }),
    refusal("run a process as another user than its own (User: stranger)"),
  );
  assertEquals(await create({ Privileged: true }), refusal("change privileges (Privileged)"));
  assertEquals((await create({ User: String(Deno.uid()), Privileged: false })).status, 201);
});

Deno.test("the embedded engine runs only programs of its own platform", async () => {
  await using engine = await TestEngine.start();
  const create = async (platform: string) =>
    (await engine.call("POST", `/containers/create?platform=${platform}`, { Image: "busybox" })).status;
  const own = `${Deno.build.os}/${Deno.build.arch === "x86_64" ? "amd64" : "arm64"}`;
  assertEquals([await create(own), await create("plan9/mips"), await create(`${Deno.build.os}/mips`)], [
    201,
    400,
    400,
  ]);
});

Deno.test("inspect shows a mount at its own path", async () => {
  await using engine = await TestEngine.start();
  const HostConfig = { Binds: [`${engine.dir}:${engine.dir}`] };
  const inspection = await engine.inspect(await engine.create("true", { config: { HostConfig } }));
  assertEquals((inspection["HostConfig"] as { Binds: string[] }).Binds, [`${engine.dir}:${engine.dir}`]);
  const mounts = inspection["Mounts"] as { Type: string; Source: string; Destination: string; RW: boolean }[];
  assertEquals(mounts.map(({ Type, Source, Destination, RW }) => ({ Type, Source, Destination, RW })), [
    { Type: "bind", Source: engine.dir, Destination: engine.dir, RW: true },
  ]);
});

Deno.test("a start creates the missing source of a bind, but not that of a mount", async () => {
  await using engine = await TestEngine.start();
  const [made, removed] = [`${engine.dir}/made/deep`, `${engine.dir}/removed`];
  const first = await engine.run("pwd", {
    config: { WorkingDir: made, HostConfig: { Binds: [`${made}:${made}`] } },
  });
  assertEquals(await engine.wait(first), 0);
  assertEquals((await engine.logs(first)).stdout, `${made}\n`);

  await Deno.mkdir(removed);
  const HostConfig = bind({ Source: removed, Target: removed });
  const second = await engine.create("true", { config: { HostConfig } });
  await Deno.remove(removed);
  const { status, body } = await engine.call("POST", `/containers/${second}/start`);
  const message = invalid("bind", `bind source path does not exist: ${removed}`);
  assertEquals({ status, body }, { status: 400, body: { message } });
  assertEquals((await engine.inspect(second)).State["Error"], message);
  assert(!(await engine.events()).some(({ Action, Actor }) => Action === "start" && Actor.ID === second));
});
