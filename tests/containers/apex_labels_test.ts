import { assertEquals } from "@std/assert";
import { taskIdOf } from "../../src/containers/apex_labels.ts";

const CASES: readonly (readonly [string, Record<string, string>, string | undefined])[] = [
  ["web", {}, undefined],
  ["web", { "apex.task-id": "a1" }, "a1"],
  ["web", { "apex.task.id": "alias" }, "alias"],
  ["web", { "apex.task.id": "alias", "apex.task-id": "label" }, "label"],
  ["web", { "apex.task.id": "alias", "apex.task-id": "" }, "alias"],
  ["apex-task-name", { "apex.task.id": "alias" }, "alias"],
  ["apex-task-build-42.3", {}, "build-42.3"],
  ["apex-task-", {}, undefined],
  ["my-apex-task-1", {}, undefined],
];

Deno.test("taskIdOf() prefers the label to its alias, and the alias to the name", () => {
  for (const [name, labels, expected] of CASES) assertEquals(taskIdOf(name, labels), expected);
});
