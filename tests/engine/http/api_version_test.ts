import { assertEquals, assertThrows } from "@std/assert";
import { negotiateApiVersion } from "../../../src/engine/http/api_version.ts";
import { EngineError } from "../../../src/engine/http/engine_error.ts";

Deno.test("negotiateApiVersion() returns the lower of the two versions, compared as numbers", () => {
  assertEquals(negotiateApiVersion("1.41", "/s"), "1.41");
  assertEquals(negotiateApiVersion("1.40", "/s"), "1.40");
  assertEquals(negotiateApiVersion("1.51", "/s"), "1.51");
  assertEquals(negotiateApiVersion("1.52", "/s"), "1.51");
  assertEquals(negotiateApiVersion("1.100", "/s"), "1.51");
  assertEquals(negotiateApiVersion("2.0", "/s"), "1.51");
});

Deno.test("negotiateApiVersion() reports what is wrong with a version", () => {
  assertThrows(
    () => negotiateApiVersion("1.39", "/s"),
    EngineError,
    "the engine at /s is too old: its API is 1.39",
  );
  assertThrows(() => negotiateApiVersion("1.9", "/s"), EngineError, "too old");
  assertThrows(() => negotiateApiVersion(null, "/s"), EngineError, "is not a container engine");
  assertThrows(() => negotiateApiVersion("1.41/../..", "/s"), EngineError, "is not a container engine");
});
