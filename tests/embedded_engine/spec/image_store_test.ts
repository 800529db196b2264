import { assertEquals, assertThrows } from "@std/assert";
import { HttpError } from "../../../src/embedded_engine/http/http_message.ts";
import { checkImageReference, familiarName } from "../../../src/embedded_engine/spec/image_store.ts";

const GOOD = [
  "busybox",
  "busybox:1.36",
  "library/busybox",
  "localhost:5000/a/b_c/d--e:Tag_1.x",
  "Registry.Example/app",
  `app@sha256:${"0".repeat(64)}`,
  `app:v1@sha256:${"f".repeat(64)}`,
  "a".repeat(64),
];

const BAD = [
  "",
  "a b",
  "-a",
  "a:",
  "a:-x",
  "a/",
  "/a",
  "a..b",
  "a@sha256:12",
  `a:${"x".repeat(129)}`,
  "x".repeat(500),
  "http://a/b",
];

for (const reference of GOOD) {
  Deno.test(`checkImageReference() accepts ${reference}`, () => checkImageReference(reference));
}

for (const reference of BAD) {
  Deno.test(`checkImageReference() refuses ${JSON.stringify(reference).slice(0, 40)}`, () => {
    assertThrows(() => checkImageReference(reference), HttpError, "invalid reference format");
  });
}

Deno.test("checkImageReference() names the reason when only the case is wrong", () => {
  assertThrows(() => checkImageReference("Busybox"), HttpError, "repository name must be lowercase");
});

for (
  const [reference, tagged] of [
    ["busybox", "busybox:latest"],
    ["busybox:1", "busybox:1"],
    ["docker.io/library/busybox", "busybox:latest"],
    ["docker.io/a/b:1", "a/b:1"],
    ["localhost:5000/a", "localhost:5000/a:latest"],
    ["a@sha256:00", "a@sha256:00"],
  ] as const
) {
  Deno.test(`familiarName(${reference}) is ${tagged}`, () => assertEquals(familiarName(reference), tagged));
}
