import { assertEquals } from "@std/assert";
import { isImageId, parseImageReference } from "../../src/engine/image_pull.ts";

const DIGEST = `sha256:${"0a".repeat(32)}`;

Deno.test("parseImageReference() splits references as the engine expects them", () => {
  const cases: [string, [string, string]][] = [
    ["busybox", ["busybox", "latest"]],
    ["busybox:1.36", ["busybox", "1.36"]],
    ["library/busybox", ["library/busybox", "latest"]],
    ["localhost:5000/a/b", ["localhost:5000/a/b", "latest"]],
    ["localhost:5000/a/b:v1_X", ["localhost:5000/a/b", "v1_X"]],
    ["Registry.example.com/a__b--c.d", ["Registry.example.com/a__b--c.d", "latest"]],
    [`a@${DIGEST}`, ["a", DIGEST]],
    [`a:1@${DIGEST}`, ["a", DIGEST]],
  ];
  for (const [reference, [name, tag]] of cases) {
    assertEquals(parseImageReference(reference), { name, tag }, reference);
  }
});

Deno.test("parseImageReference() returns undefined for an invalid reference", () => {
  const wrong = [
    "",
    " ",
    "a b",
    "Busybox",
    "a:",
    ":a",
    "a/",
    "/a",
    "a@sha256:12",
    "a:b:c",
    "a--b_-c",
    "a?x=1",
  ];
  for (const reference of [...wrong, "a".repeat(500), `a:${"t".repeat(129)}`, "https://a/b"]) {
    assertEquals(parseImageReference(reference), undefined, reference);
  }
});

Deno.test("isImageId() is true only for whole ids", () => {
  assertEquals([DIGEST, DIGEST.slice(7), DIGEST.slice(0, 20), "busybox"].map(isImageId), [
    true,
    true,
    false,
    false,
  ]);
});
