/** Rejects phrases that read as if translated, or as a riddle, in sources and documents. CONTRIBUTING.md says what to write instead. */
import { assertEquals } from "@std/assert";

const ROOT = new URL("../", import.meta.url);

/** Phrases, each with what to write instead. */
const PHRASES: ReadonlyArray<readonly [phrase: RegExp, instead: string]> = [
  [/\b(told|tells?|telling)\b/, "published (an event), reported (a failure), logged, printed, sent"],
  [/\bmakes? no sense\b|\bnonsense\b/, "invalid: say what was expected"],
  [/\bwhoever\b|(?<!")\b(some|no|every)body\b/, "the client, the subscriber, another process"],
  [/\bthere (is|are|was|were) none\b/, "no X exists"],
  [
    /\b(what|which|who) (is|was|are|were) (still )?there\b|\b(is|was|are|were) (not|still) there\b/,
    "the existing X",
  ],
  [/\b(goes|go|going|went|gone) on\b|\banew\b|\blives? on\b/, "continues, starts over"],
  [/\ball the same\b|\bhence\b|\bmeanwhile\b/, "still; drop it"],
  [/\bfor ever\b|\bso many\b|\bas it stands\b/, "indefinitely; N; drop it"],
  [/\b(a|its|the|his|whole) (life|death|lives)\b/, "a run, an exit"],
  [/\b(is|are|was|were|be|been) gone\b/, "was removed, has exited"],
  [/(?<!there )\bis no (?!longer)[a-z]+\b/, "is not a X, must be a X"],
  [
    /\bof its own accord\b|\bwithout a word\b|\bfor want of\b|\bin vain\b/,
    "on its own, silently, for lack of",
  ],
  [/\bbut for\b/, "except"],
  [/\blets? go\b/, "detaches, releases"],
  [/\bany more\b/, "no longer"],
  [/\b(is|was|are|were) heard\b|\bheeds?\b/, "is received, handles"],
  [/\b(thence|thereof|thereby|wherein)\b|\bhas it that\b/, "plain words"],
  [/\b(he|she|his|him)\b/, "the user, the client"],
];

/** This file, and recorded data. */
const LEFT_OUT = /^tests\/(words_test\.ts|fixtures\/)/;

async function textFiles(directory: string): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(new URL(directory, ROOT))) {
    const path = `${directory}${name}`;
    if (isDirectory) files.push(...await textFiles(`${path}/`));
    else if (/\.(ts|md|yml)$|^run$/.test(name)) files.push(path);
  }
  return files;
}

const directories = [".ci/", ".github/", "bench/", "docs/", "scripts/", "src/", "tests/"];
const files = [
  ...["main.ts", "README.md", "EVENTS.md", "CONTRIBUTING.md", "CHANGELOG.md"],
  ...(await Promise.all(directories.map(textFiles))).flat(),
].filter((file) => !LEFT_OUT.test(file));

for (const [phrase, instead] of PHRASES) {
  Deno.test(`no file contains ${phrase.source}: write ${instead}`, async () => {
    const found: string[] = [];
    for (const file of files) {
      const lines = (await Deno.readTextFile(new URL(file, ROOT))).split("\n");
      lines.forEach((line, index) => {
        if (new RegExp(phrase, "i").test(line)) found.push(`${file}:${index + 1}: ${line.trim()}`);
      });
    }
    assertEquals(found, []);
  });
}
