/** Creation of a container whose image is missing: the image is pulled once, then the container is created. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { ContainerManager } from "../../../src/containers/container_manager.ts";
import { EngineClient } from "../../../src/engine/engine_client.ts";
import { EngineError } from "../../../src/engine/http/engine_error.ts";
import type { PullProgress } from "../../../src/engine/image_pull.ts";
import { systemClock } from "../../../src/platform/clock.ts";
import { silentLogger } from "../../../src/platform/logger.ts";
import { OperatedManager } from "../../support/containers/operated_manager.ts";
import { busyboxTar } from "../../support/engines/busybox_image.ts";
import { dockerAvailable, startDocker } from "../../support/engines/docker_engine.ts";
import { ImageRegistry } from "../../support/engines/image_registry.ts";
import { httpReply, type RawExchange, RawHttpServer } from "../../support/engines/raw_http_server.ts";
import { TempDir } from "../../support/temp_dir.ts";
import { within } from "../../support/within.ts";

const CREATED = httpReply(201, { Id: "ab".repeat(32), Warnings: null });
const NO_IMAGE = httpReply(404, { message: "No such image: busybox:latest" });
const PULLED = httpReply(200, '{"status":"Pulling from library/busybox","id":"latest"}\n{"status":"Done"}\n');

/** A manager on an engine that gives these replies to `create` requests and pulls, in order. */
class Scripted implements AsyncDisposable {
  readonly asked: string[] = [];
  readonly manager: ContainerManager;
  readonly #parts: AsyncDisposableStack;

  private constructor(parts: AsyncDisposableStack, socketPath: string) {
    const client = parts.use(new EngineClient({ socketPath }));
    this.manager = parts.use(new ContainerManager({ client, clock: systemClock, logger: silentLogger }));
    this.#parts = parts.move();
  }

  static async with(...replies: string[]): Promise<Scripted> {
    await using parts = new AsyncDisposableStack();
    const temp = parts.use(await TempDir.make());
    const answer = ({ method, target, write }: RawExchange): Promise<void> => {
      if (target === "/_ping") return write(httpReply(200, "OK", { "Api-Version": "1.41" }));
      scripted.asked.push(`${method} ${target.replace("/v1.41", "").replace(/\?.*/, "")}`);
      return write(replies.shift() ?? httpReply(500, { message: "asked too often" }));
    };
    const server = parts.use(new RawHttpServer(temp.join("e.sock"), answer));
    const scripted = new Scripted(parts, server.socketPath);
    return scripted;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }
}

const CREATE = "POST /containers/create";
const PULL = "POST /images/create";

Deno.test("create() pulls a missing image, and reports the progress", async () => {
  await using engine = await Scripted.with(NO_IMAGE, PULLED, CREATED);
  const progress: string[] = [];
  const { id } = await engine.manager.create({ image: "busybox", name: "web" }, {
    onPullProgress: ({ status }) => {
      progress.push(status);
      throw new Error("a failing listener must not affect the pull");
    },
  });
  assertEquals([id, engine.asked, progress], [
    "ab".repeat(32),
    [CREATE, PULL, CREATE],
    ["Pulling from library/busybox", "Done"],
  ]);
});

Deno.test("create() does not pull after other refusals, or for an image id", async () => {
  const cases = [
    ["busybox", httpReply(404, { message: "network x not found" })],
    ["busybox", httpReply(409, { message: "No such image, but the name is in use" })],
    ["ab".repeat(32), NO_IMAGE],
  ] as const;
  for (const [image, reply] of cases) {
    await using engine = await Scripted.with(reply, PULLED, CREATED);
    await assertRejects(() => engine.manager.create({ image, name: "web" }), EngineError);
    assertEquals(engine.asked, [CREATE]);
  }
});

Deno.test("create() pulls once, and rejects if the image is still missing", async () => {
  await using engine = await Scripted.with(NO_IMAGE, PULLED, NO_IMAGE);
  const error = await assertRejects(() => engine.manager.create({ image: "busybox" }), EngineError);
  assertStringIncludes(error.message, "cannot create a container of image busybox: No such image");
  assertEquals([engine.asked, error.code], [[CREATE, PULL, CREATE], "not_found"]);
});

Deno.test("create() obeys the pull policy", async () => {
  await using always = await Scripted.with(PULLED, CREATED);
  await always.manager.create({ image: "busybox", name: "web" }, { pull: "always" });
  assertEquals(always.asked, [PULL, CREATE]);
  await using again = await Scripted.with(PULLED, NO_IMAGE);
  await assertRejects(() => again.manager.create({ image: "busybox" }, { pull: "always" }), EngineError);
  assertEquals(again.asked, [PULL, CREATE]);
  await using never = await Scripted.with(NO_IMAGE, PULLED, CREATED);
  const error = await assertRejects(
    () => never.manager.create({ image: "busybox" }, { pull: "never" }),
    EngineError,
  );
  assertStringIncludes(error.message, "No such image");
  assertEquals(never.asked, [CREATE]);
});

Deno.test("create() does not create after an abort during the pull", async () => {
  await using engine = await Scripted.with(NO_IMAGE, PULLED, CREATED);
  const abort = new AbortController();
  const create = engine.manager.create({ image: "busybox", name: "web" }, {
    abort: abort.signal,
    onPullProgress: () => abort.abort(new RangeError("enough")),
  });
  await assertRejects(() => create, RangeError, "enough");
  assertEquals(engine.asked, [CREATE, PULL]);
});

Deno.test({
  name: "create() pulls a missing image on Docker, and rejects if its registry lacks it",
  ignore: !await dockerAvailable(),
  fn: async () => {
    await using temp = await TempDir.make();
    await using registry = await ImageRegistry.serve(await busyboxTar(temp.path));
    await using docker = await startDocker();
    await using operated = await OperatedManager.on(docker.socketPath);
    const { manager } = operated;

    const missing = { image: registry.missingImage, name: "missing", cmd: ["true"], network: "none" };
    const error = await assertRejects(() => manager.create(missing), EngineError);
    assertStringIncludes(
      error.message,
      `cannot create container missing: cannot pull image "${missing.image}": `,
    );
    assertStringIncludes(error.message, "manifest unknown");
    assertEquals(operated.failures, ["create container:created"]);

    const reports: PullProgress[] = [];
    const { id } = await within(
      60_000,
      "the pull",
      manager.create({ ...missing, image: registry.image, name: "pulled" }, {
        onPullProgress: (report) => reports.push(report),
      }),
    );
    await manager.start(id);
    assertEquals(await within(30_000, "its end", manager.wait(id)), { exitCode: 0 });
    assert(reports.every(({ image }) => image === registry.image));
    const layers = reports.filter(({ layer }) => layer !== undefined);
    assert(layers.some(({ status }) => status === "Pull complete"), JSON.stringify(reports));
    assert(layers.some(({ totalBytes = 0, currentBytes = 0 }) => totalBytes > 0 && currentBytes > 0));
    assertEquals(new Set(layers.map(({ layer }) => layer)).size, 1);
    await manager.remove(id, { force: true });
    await operated.until("pulled", "removed 0 forced");
  },
});
