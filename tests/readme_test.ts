/** Holds the README to the product: its transcript, its example of embedding, and the files that documents name. */
import { assert, assertEquals } from "@std/assert";
import { recordTranscript, TRANSCRIPT } from "../scripts/transcript.ts";
import { TestEngine } from "./support/engines/embedded_engine.ts";
import { isInstalled } from "./support/programs.ts";
import { TempDir } from "./support/temp_dir.ts";

const ROOT = new URL("../", import.meta.url);
const README = await Deno.readTextFile(new URL("README.md", ROOT));

Deno.test({
  name: "the README's transcript is what apex prints",
  ignore: !isInstalled("jq"),
  async fn() {
    const withoutDurations = (text: string) => text.replaceAll(/"runDuration":\d+/g, '"runDuration":0');
    const [transcript] = TRANSCRIPT.exec(README) ?? [];
    assert(transcript !== undefined, "the README has no transcript");
    assertEquals(withoutDurations(transcript), withoutDurations(await recordTranscript()));
  },
});

Deno.test("the README's example of embedding reports a whole task", async () => {
  await using engine = await TestEngine.start();
  await using dir = await TempDir.make();
  const [, example] = /^```ts\n([^]*?openOrchestrator[^]*?)^```$/m.exec(README) ?? [];
  assert(example !== undefined, "the README has no example of openOrchestrator");
  const program = dir.join("example.ts");
  await Deno.writeTextFile(program, example.replace('"./src/', `"${ROOT.pathname}src/`));
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--check", "--config", `${ROOT.pathname}deno.json`, program],
    env: { DOCKER_HOST: `unix://${engine.socketPath}` },
  }).output();
  const decoder = new TextDecoder();
  assertEquals(decoder.decode(stderr), "");
  assertEquals(decoder.decode(stdout).trim().split("\n"), [
    "task:created build-7",
    "task:started build-7",
    "apex-task-build-7 exited with 3",
    "task:failed build-7",
    "failed exit 3",
  ]);
  assertEquals(code, 0);
});

const DOCUMENTS = [
  "README.md",
  "EVENTS.md",
  "CONTRIBUTING.md",
  "docs/architecture.md",
  "docs/engines.md",
  "docs/reference.md",
];

for (const document of DOCUMENTS) {
  Deno.test(`every file that ${document} names exists`, async () => {
    const text = await Deno.readTextFile(new URL(document, ROOT));
    const named = text.matchAll(
      /`((?:src|tests|bench|scripts|docs)\/[\w./-]+|main\.ts)`|\]\(([\w./-]+\.md)(?:#[\w-]*)?\)/g,
    );
    const paths = [...named].map(([, path, link]) => {
      return path === undefined ? new URL(link!, new URL(document, ROOT)) : new URL(path, ROOT);
    });
    const missing = [];
    for (const path of paths) {
      if (!await Deno.stat(path).then(() => true, () => false)) {
        missing.push(path.pathname.slice(ROOT.pathname.length));
      }
    }
    assertEquals(missing, []);
  });

  Deno.test(`every link of ${document} to a heading leads somewhere`, async () => {
    const text = await Deno.readTextFile(new URL(document, ROOT));
    for (const [, file, anchor] of text.matchAll(/\]\(([\w./-]+\.md)?#([\w-]+)\)/g)) {
      const target = file === undefined
        ? text
        : await Deno.readTextFile(new URL(file, new URL(document, ROOT)));
      assert(anchorsOf(target).has(anchor!), `${document} links to ${file ?? ""}#${anchor}`);
    }
  });
}

/** The anchors of a document: those written by hand, and those that GitHub makes from headings, with `-1` for a repeated one. */
function anchorsOf(text: string): Set<string> {
  const anchors = new Set([...text.matchAll(/<a id="([\w-]+)">/g)].map(([, id]) => id!));
  const seen = new Map<string, number>();
  for (const [, heading] of text.matchAll(/^#+ (.+)$/gm)) {
    const name = heading!.toLowerCase().replaceAll(/[^\w\- ]/g, "").replaceAll(" ", "-");
    const count = seen.get(name) ?? 0;
    seen.set(name, count + 1);
    anchors.add(count === 0 ? name : `${name}-${count}`);
  }
  return anchors;
}
