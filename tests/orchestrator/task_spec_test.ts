import { assertEquals } from "@std/assert";
import type { TaskSpec } from "../../src/orchestrator/task.ts";
import type { TaskSpecRequest } from "../../src/protocol/task_operations.ts";

/** The keys that only one of the two types has: an option that a client cannot request, or that the daemon drops. */
type Difference =
  | Exclude<keyof TaskSpec, keyof TaskSpecRequest>
  | Exclude<keyof TaskSpecRequest, keyof TaskSpec>;

Deno.test("taskSpecSchema and TaskSpec have the same options", () => {
  // If one of the types lacks an option of the other, the type check fails here.
  const difference: never[] = [] as Difference[];
  assertEquals(difference, []);
});
