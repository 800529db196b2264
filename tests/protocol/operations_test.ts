import { assert, assertEquals, assertThrows } from "@std/assert";
import * as v from "valibot";
import { OPERATIONS, replySchema } from "../../src/protocol/operations.ts";

Deno.test("the table of operations gives each operation one sentence and one HTTP route", () => {
  const routes = Object.values(OPERATIONS).map(({ http }) => `${http.method} ${http.path}`);
  assertEquals(new Set(routes).size, routes.length);
  for (const [op, { description }] of Object.entries(OPERATIONS)) {
    assert(/^[A-Z][^.]+\.$/.test(description), `${op}: ${description}`);
  }
});

for (const [op, { http, request }] of Object.entries(OPERATIONS)) {
  Deno.test(`the parameters in the HTTP path of ${op} are fields of its request`, () => {
    const parameters = [...http.path.matchAll(/:(\w+)/g)].map(([, name]) => name!);
    assertEquals(parameters.filter((name) => !(name in request.entries)), []);
  });

  Deno.test(`the request schema of ${op} accepts its own name, and no other`, () => {
    const { issues } = v.safeParse(request, { v: 1, op: "other" });
    assert(issues?.some((issue) => v.getDotPath(issue) === "op"), "it took another name");
    assert(!v.safeParse(request, { v: 1, op }).issues?.some((issue) => v.getDotPath(issue) === "op"));
  });
}

Deno.test("replySchema accepts both forms, and a code of a newer daemon", () => {
  assert(v.is(replySchema, { ok: true, result: { anything: 1 } }));
  assert(v.is(replySchema, { ok: false, error: { code: "brand_new", message: "m" } }));
  assert(!v.is(replySchema, { ok: false }));
  assert(!v.is(replySchema, { result: 1 }));
});

Deno.test("result schemas ignore the fields of a newer daemon and refuse missing ones", () => {
  const list = OPERATIONS["containers.list"].result;
  v.parse(list, {
    containers: [{ id: "a", name: "n", image: "i", state: "running", labels: {}, later: 1 }],
    engine: "connected",
  });
  assertThrows(() => v.parse(list, { containers: [{ id: "a" }], engine: "connected" }), v.ValiError);
  assertThrows(() => v.parse(OPERATIONS.status.result, { version: "0.1.0" }), v.ValiError);
});
