import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { TestEngine } from "../../support/embedded_engine.ts";
import { isInstalled } from "../../support/own_daemon.ts";

/** The progress lines of a pull or import. */
async function progress(engine: TestEngine, query: string): Promise<{ status: string; id?: string }[]> {
  const response = await engine.fetch("POST", `/images/create?${query}`, { body: "" });
  assertEquals(response.status, 200, query);
  const text = await response.text();
  assert(text.endsWith("\r\n"));
  return text.trimEnd().split("\r\n").map((line) => JSON.parse(line));
}

const NOTHING = "The embedded engine downloads nothing: a container runs this machine's own programs";

const PULLS: readonly (readonly [query: string, from: string, id: string, shown: string])[] = [
  ["fromImage=busybox", "library/busybox", "latest", "busybox:latest"],
  ["fromImage=busybox&tag=1.36", "library/busybox", "1.36", "busybox:1.36"],
  ["fromImage=ghcr.io/a/b:x", "ghcr.io/a/b", "x", "ghcr.io/a/b:x"],
  ["fromImage=host:5000/a", "host:5000/a", "latest", "host:5000/a:latest"],
  [
    `fromImage=a/b&tag=sha256:${"0".repeat(64)}`,
    "a/b",
    `sha256:${"0".repeat(64)}`,
    `a/b@sha256:${"0".repeat(64)}`,
  ],
];

Deno.test("a pull downloads nothing and says so", async () => {
  await using engine = await TestEngine.start();
  for (const [query, from, id, shown] of PULLS) {
    assertEquals(await progress(engine, query), [
      { status: `Pulling from ${from}`, id },
      { status: NOTHING },
      { status: `Status: Image is up to date for ${shown}` },
    ]);
  }
});

Deno.test("a pull of what is no reference is refused with Docker's words", async () => {
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

Deno.test("an import is taken whatever its size, and the image is there as any other", async () => {
  await using engine = await TestEngine.start();
  // More than the engine would hold of any request.
  const body = "x".repeat(16 * 1024 * 1024);
  const response = await engine.fetch("POST", "/images/create?fromSrc=-&repo=busybox&tag=local", { body });
  assertEquals(response.status, 200);
  const { status } = JSON.parse(await response.text());
  const inspected = await engine.call("GET", "/images/busybox:local/json");
  assertEquals((inspected.body as { Id: string }).Id, status);
  assertEquals((inspected.body as { RepoTags: string[] }).RepoTags, ["busybox:local"]);
});

Deno.test({
  name: "docker pull and docker import work against the embedded engine",
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
    assertStringIncludes(await docker("pull", "busybox"), NOTHING);
    await Deno.writeFile(`${engine.dir}/image.tar`, new Uint8Array(5 * 1024 * 1024));
    assertStringIncludes(await docker("import", `${engine.dir}/image.tar`, "own:tag"), "sha256:");
  },
});
