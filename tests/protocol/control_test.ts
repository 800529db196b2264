import { assert, assertEquals, assertMatch } from "@std/assert";
import * as v from "valibot";
import {
  containersListResultSchema,
  decodeRequest,
  replySchema,
  statusResultSchema,
} from "../../src/protocol/control.ts";

function decode(text: string) {
  return decodeRequest(new TextEncoder().encode(text));
}

Deno.test("decodeRequest() takes each operation, and ignores fields of a newer client", () => {
  assertEquals(decode(`{"v":1,"op":"status"}`), { request: { v: 1, op: "status" } });
  assertEquals(decode(`{"v":1,"op":"containers.list","new":true}`), {
    request: { v: 1, op: "containers.list" },
  });
});

const refusals: [name: string, line: string, code: string, message: RegExp][] = [
  ["an empty line", "", "protocol", /not JSON in UTF-8/],
  ["what is not JSON", "GET / HTTP/1.1\r", "protocol", /not JSON in UTF-8/],
  ["what is not an object", "[1]", "protocol", /not of the form \{"v":1,"op":"…"\}/],
  ["no version", `{"op":"status"}`, "protocol", /not of the form/],
  ["another version", `{"v":2,"op":"status"}`, "protocol", /speaks control protocol 1, the request is of 2/],
  [
    "an unknown operation",
    `{"v":1,"op":"stauts"}`,
    "usage",
    /no such operation: "stauts" \(there are: status, /,
  ],
  ["a name of Object's own", `{"v":1,"op":"constructor"}`, "usage", /no such operation/],
];

for (const [name, line, code, message] of refusals) {
  Deno.test(`decodeRequest() refuses ${name}`, () => {
    const decoded = decode(line);
    assert("error" in decoded);
    assertEquals<string>(decoded.error.code, code);
    assertMatch(decoded.error.message, message);
  });
}

Deno.test("decodeRequest() refuses bytes that are not UTF-8", () => {
  const decoded = decodeRequest(new Uint8Array([0xff, 0xfe]));
  assert("error" in decoded);
  assertEquals(decoded.error.code, "protocol");
});

Deno.test("the reply schema takes both forms, and a code of a newer daemon", () => {
  assert(v.is(replySchema, { ok: true, result: { anything: 1 } }));
  assert(v.is(replySchema, { ok: false, error: { code: "brand_new", message: "m" } }));
  assert(!v.is(replySchema, { ok: false }));
  assert(!v.is(replySchema, { result: 1 }));
});

Deno.test("the result schemas ignore fields of a newer daemon and refuse missing ones", () => {
  assert(v.is(containersListResultSchema, {
    containers: [{ id: "a", name: "n", image: "i", state: "running", labels: {}, later: 1 }],
    engine: "connected",
  }));
  assert(!v.is(containersListResultSchema, { containers: [{ id: "a" }], engine: "connected" }));
  assert(!v.is(statusResultSchema, { version: "0.1.0" }));
});
