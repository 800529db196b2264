import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { startEmbeddedEngine } from "../../../src/embedded_engine/embedded_engine.ts";
import { EngineClient } from "../../../src/engine/engine_client.ts";
import { EngineError } from "../../../src/engine/http/engine_error.ts";
import { isInstalled } from "../../support/daemons/own_daemon.ts";
import { TestEngine } from "../../support/engines/embedded_engine.ts";
import { TempDir } from "../../support/temp_dir.ts";

/** The progress lines of a pull or import. */
async function progress(engine: TestEngine, query: string): Promise<{ status: string; id?: string }[]> {
  const response = await engine.fetch("POST", `/images/create?${query}`, { body: "" });
  assertEquals(response.status, 200, query);
  const text = await response.text();
  assert(text.endsWith("\r\n"));
  return text.trimEnd().split("\r\n").map((line) => JSON.parse(line));
}

Deno.test("a pull of the existing image reports that it is up to date", async () => {
  await using engine = await TestEngine.start();
  for (
    const [query, tag] of [["fromImage=busybox", "latest"], [
      "fromImage=docker.io/library/busybox&tag=local",
      "local",
    ]] as const
  ) {
    assertEquals(await progress(engine, query), [
      { status: "Pulling from library/busybox", id: tag },
      { status: `Status: Image is up to date for busybox:${tag}` },
    ]);
  }
});

Deno.test("a pull of any other image is refused, with the names of the existing one", async () => {
  await using engine = await TestEngine.start();
  const message = "the embedded engine pulls no images and has only busybox:latest, busybox:local: " +
    "name one of these, or use Docker or Podman";
  const digest = `sha256:${"0".repeat(64)}`;
  for (
    const query of [
      "fromImage=alpine&tag=latest",
      "fromImage=busybox&tag=1.36",
      "fromImage=host:5000/busybox",
      `fromImage=busybox&tag=${digest}`,
    ]
  ) {
    assertEquals(await engine.call("POST", `/images/create?${query}`), { status: 404, body: { message } });
  }
});

Deno.test("a container of an image that does not exist is refused with Docker's 404", async () => {
  await using engine = await TestEngine.start();
  for (const [Image, shown] of [["alpine", "alpine:latest"], ["busybox:1.36", "busybox:1.36"]]) {
    const reply = await engine.call("POST", "/containers/create", { Image, Cmd: ["true"] });
    assertEquals(reply, { status: 404, body: { message: `No such image: ${shown}` } });
    assertEquals((await engine.call("GET", `/images/${Image}/json`)).status, 404);
  }
  const id = ((await engine.call("GET", "/images/busybox/json")).body as { Id: string }).Id;
  assertEquals((await engine.call("POST", "/containers/create", { Image: id })).status, 201);
});

Deno.test("a tag gives the image another name, which the next engine of the directory has too", async () => {
  await using temp = await TempDir.make();
  const own = { dir: temp.join("e"), socketPath: temp.join("e.sock") };
  {
    await using _engine = await startEmbeddedEngine(own);
    using client = new EngineClient({ socketPath: own.socketPath });
    const tag = (name: string, query: Record<string, string>) =>
      client.request("POST", `/images/${name}/tag`, { query });
    await (await tag("busybox", { repo: "ghcr.io/a/b", tag: "x" })).body?.cancel();
    await assertRejects(() => tag("alpine", { repo: "c" }), EngineError, "No such image: alpine:latest");
    await assertRejects(() => tag("busybox", { repo: "UPPER" }), EngineError, "must be lowercase");
  }
  await using _next = await startEmbeddedEngine(own);
  using client = new EngineClient({ socketPath: own.socketPath });
  const images = await client.requestJson<{ RepoTags: string[] }[]>("GET", "/images/json", {
    isRight: Array.isArray,
  });
  assertEquals(images.map(({ RepoTags }) => RepoTags), [["busybox:latest", "ghcr.io/a/b:x"]]);
});

Deno.test("a pull of a malformed reference is refused with Docker's message", async () => {
  await using engine = await TestEngine.start();
  for (
    const [query, message] of [
      ["", "invalid reference format"],
      ["fromImage=", "invalid reference format"],
      ["fromImage=UPPER&tag=latest", "invalid reference format: repository name must be lowercase"],
      ["fromImage=a&tag=b%20c", "invalid reference format"],
    ] as const
  ) {
    assertEquals(await engine.call("POST", `/images/create?${query}`), { status: 400, body: { message } });
  }
});

Deno.test("an import is refused whatever its size", async () => {
  await using engine = await TestEngine.start();
  // More than the engine buffers of any request.
  const body = "x".repeat(16 * 1024 * 1024);
  const response = await engine.fetch("POST", "/images/create?fromSrc=-&repo=own&tag=local", { body });
  assertEquals(response.status, 501);
  assertStringIncludes((await response.json()).message, "imports no images");
  assertEquals((await engine.call("GET", "/images/own:local/json")).status, 404);
});

Deno.test({
  name: "docker tag works with the embedded engine, and docker pull and docker import print why they do not",
  ignore: !(await isInstalled("docker")),
  async fn() {
    await using engine = await TestEngine.start();
    const docker = async (...args: string[]): Promise<string> => {
      const command = new Deno.Command("docker", {
        args: ["-H", `unix://${engine.socketPath}`, ...args],
        env: { DOCKER_CONFIG: engine.dir },
        stdin: "null",
      });
      const { stdout, stderr } = await command.output();
      return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    };
    assertStringIncludes(await docker("pull", "busybox"), "Image is up to date");
    assertStringIncludes(await docker("pull", "alpine"), "pulls no images and has only busybox:latest");
    await Deno.writeFile(`${engine.dir}/image.tar`, new Uint8Array(5 * 1024 * 1024));
    assertStringIncludes(await docker("import", `${engine.dir}/image.tar`, "own:tag"), "imports no images");
    assertEquals(await docker("tag", "busybox", "own:tag"), "");
    assertEquals((await docker("run", "--rm", "own:tag", "echo", "hello")).trim(), "hello");
    const refused = await docker("run", "--memory", "64m", "busybox", "true");
    assertStringIncludes(refused, "the embedded engine cannot limit memory (HostConfig.Memory)");
  },
});
