import { assert, assertEquals, assertMatch } from "@std/assert";
import * as v from "valibot";
import {
  containersListResultSchema,
  decodeRequest,
  isStreamOp,
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

const requests: string[] = [
  `{"v":1,"op":"containers.inspect","target":"web"}`,
  `{"v":1,"op":"containers.logs","target":"web","follow":true,"tail":0,"sinceMs":1.5,"timestamps":true}`,
  `{"v":1,"op":"tasks.run","task":{}}`,
  `{"v":1,"op":"tasks.run","task":{"image":"i","cmd":["a"],"env":{"K":"V"},"cpus":0.5,"memoryBytes":6291456,` +
  `"mounts":[{"source":"/a","target":"/b","readOnly":true}],"timeoutMs":1000,"keepOnFailure":true}}`,
  `{"v":1,"op":"tasks.list","all":true}`,
  `{"v":1,"op":"tasks.cancel","task":"t"}`,
  `{"v":1,"op":"tasks.signal","task":"t","signal":"SIGINT"}`,
  `{"v":1,"op":"tasks.wait","task":"t"}`,
  `{"v":1,"op":"workspaces.list"}`,
  `{"v":1,"op":"workspaces.clean","names":["a","b"]}`,
];

for (const line of requests) {
  Deno.test(`decodeRequest() takes ${line}`, () => {
    assertEquals<unknown>(decode(line), { request: JSON.parse(line) });
  });
}

Deno.test("isStreamOp() knows the operations whose reply frames follow", () => {
  for (const op of ["tasks.run", "tasks.wait", "containers.logs"] as const) assert(isStreamOp(op), op);
  for (const op of ["status", "tasks.list", "tasks.cancel", "workspaces.clean"] as const) {
    assert(!isStreamOp(op), op);
  }
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
  ["no target", `{"v":1,"op":"containers.logs"}`, "usage", /^containers\.logs: [^]*target/],
  ["half a line", `{"v":1,"op":"containers.logs","target":"t","tail":1.5}`, "usage", /tail/],
  [
    "no name at all",
    `{"v":1,"op":"tasks.cancel","task":""}`,
    "usage",
    /^tasks\.cancel: task: it must not be empty$/,
  ],
  ["a name beyond all names", `{"v":1,"op":"tasks.wait","task":"${"x".repeat(257)}"}`, "usage", /task/],
  ["memory as text", `{"v":1,"op":"tasks.run","task":{"memoryBytes":"12x"}}`, "usage", /memoryBytes/],
  [
    "a mount without a target",
    `{"v":1,"op":"tasks.run","task":{"mounts":[{"source":"/a"}]}}`,
    "usage",
    /target/,
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
