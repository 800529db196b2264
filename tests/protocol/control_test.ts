import { assert } from "@std/assert";
import * as v from "valibot";
import {
  containersListResultSchema,
  isStreamOp,
  replySchema,
  statusResultSchema,
} from "../../src/protocol/control.ts";

Deno.test("isStreamOp() knows the operations whose reply frames follow", () => {
  for (const op of ["tasks.run", "tasks.wait", "containers.logs"] as const) assert(isStreamOp(op), op);
  for (const op of ["status", "tasks.list", "tasks.cancel", "workspaces.clean"] as const) {
    assert(!isStreamOp(op), op);
  }
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
