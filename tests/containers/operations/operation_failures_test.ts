/** Failing operations on real engines: each failure is published, and rejects with the engine's reason. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { ContainerOperationFailedEvent } from "../../../src/containers/changes/container_events.ts";
import type { ContainerSpec } from "../../../src/containers/operations/container_spec.ts";
import { ApexError, type ErrorCode } from "../../../src/platform/apex_error.ts";
import {
  BASE,
  type Checks,
  ENDS_WITHIN_MS,
  outputOf,
  run,
  runReady,
  shell,
  SLEEPER,
  testOnEngines,
} from "../../support/containers/engine_checks.ts";
import { within } from "../../support/within.ts";

const CHECKS: Checks = {
  "exec() rejects with `timeout` after its timeout": async (operated) => {
    const id = await run(operated, { ...SLEEPER, name: "exec-long" });
    const exec = () => operated.manager.exec(id, ["sleep", "300"], { timeoutMs: 300 });
    const error = await assertRejects(() => within(ENDS_WITHIN_MS, "the timeout", exec()), ApexError);
    assertEquals(error.code, "timeout");
    assertStringIncludes(error.message, '"sleep" has not exited within 0.3 s');
    assertEquals(operated.failures, ["exec container:operation_failed"]);
  },

  "an aborted operation rejects with the abort reason, and no failure is published": async (operated) => {
    const { manager } = operated;
    const id = await runReady(operated, {
      ...shell("trap '' TERM; echo ready; while :; do sleep 0.05; done"),
      name: "abort",
    });
    const abort = AbortSignal.abort(new RangeError("enough"));
    const asks = [
      () => manager.create({ ...SLEEPER, name: "abort-create" }, { abort }),
      () => manager.start(id, { abort }),
      () => manager.exec(id, ["true"], { abort }),
      () => manager.inspect(id, abort),
      () => manager.stats(id, abort),
      () => manager.wait(id, { abort }),
      () => outputOf(operated, { id, follow: true, abort }),
      () => manager.pullImage("busybox", { abort }),
    ];
    for (const ask of asks) await assertRejects(async () => void await ask(), RangeError, "enough");
    assertEquals(manager.find("abort-create"), undefined);

    const later = new AbortController();
    const waits = [
      manager.stop(id, { timeoutSeconds: 600, abort: later.signal }),
      manager.wait(id, { abort: later.signal }),
      manager.exec(id, ["sleep", "600"], { abort: later.signal }),
      outputOf(operated, { id, follow: true, abort: later.signal }),
    ];
    const settled = Promise.allSettled(waits);
    // The exec runs, so all operations are under way.
    await manager.exec(id, ["true"]);
    later.abort(new RangeError("enough"));
    const outcomes = await within(ENDS_WITHIN_MS, "their ends", settled);
    assertEquals(outcomes.map((each) => each.status === "rejected" && each.reason.message), [
      "enough",
      "enough",
      "enough",
      "enough",
    ]);
    assertEquals(operated.failures, []);
    await manager.kill(id);
  },

  "a creation that fails leaves nothing behind, and its error names the value": async (operated) => {
    const before = (await operated.client.listContainers()).length;
    const cases: [Partial<ContainerSpec>, ErrorCode, string][] = [
      [{ image: "No Image" }, "usage", '"No Image"'],
      [{ name: "a b" }, "usage", '"a b"'],
      [{ memoryBytes: 1 }, "usage", "memory limit 1: "],
      [{ workdir: "relative" }, "usage", '"relative"'],
      [{ mounts: [{ source: "/apx-not-there", target: "/x" }] }, "engine", "/apx-not-there"],
      // More CPUs than Docker has. The embedded engine refuses limits.
      [{ cpus: 4_096 }, "engine", "cpus"],
    ];
    for (const [index, [part, code, words]] of cases.entries()) {
      const spec = { ...SLEEPER, name: `bad-${index}`, labels: { "apex.task-id": "bad" }, ...part };
      const error = await assertRejects(() => operated.manager.create(spec), ApexError);
      assertEquals(error.code, code, error.message);
      assertStringIncludes(error.message, `cannot create container ${spec.name}: `);
      assertStringIncludes(error.message.toLowerCase(), words.toLowerCase());
      const failure = operated.emitted.at(-1);
      assertEquals(failure?.name, "container:created");
      assertFailure(failure?.event, {
        operation: "create",
        containerName: spec.name,
        image: spec.image,
        taskId: "bad",
        error: error.message,
      });
    }
    assertEquals(operated.emitted.length, cases.length);
    assertEquals((await operated.client.listContainers()).length, before);
  },

  "each failed operation is published, and then rejects with the engine's reason": async (operated) => {
    const { manager } = operated;
    const name = "apex-task-fails";
    const spec = { ...SLEEPER, name, labels: { "apex.task-id": "fails" } };
    const { id } = await manager.create(spec);
    await operated.until(name, "created");
    const known = { containerId: id, containerName: name, image: BASE.image, taskId: "fails" };
    const unknown = { containerName: "missing" };
    const cases: [() => Promise<unknown>, Partial<ContainerOperationFailedEvent>, ErrorCode, string][] = [
      [
        () => manager.create(spec),
        { operation: "create", ...known, containerId: undefined! },
        "conflict",
        "in use",
      ],
      [
        () => manager.start("missing"),
        { operation: "start", ...unknown },
        "not_found",
        "No such container: missing",
      ],
      [
        () => manager.stop("missing"),
        { operation: "stop", ...unknown },
        "not_found",
        "No such container: missing",
      ],
      [
        () => manager.restart("missing"),
        { operation: "restart", ...unknown },
        "not_found",
        "No such container",
      ],
      [
        () => manager.remove("missing"),
        { operation: "remove", ...unknown },
        "not_found",
        "No such container",
      ],
      [() => manager.kill(id), { operation: "kill", ...known }, "conflict", "is not running"],
      [() => manager.kill(id, { signal: "NOPE" }), { operation: "kill", ...known }, "engine", "NOPE"],
      [() => manager.pause(name), { operation: "pause", ...known }, "conflict", "is not running"],
      [() => manager.unpause(id.slice(0, 20)), { operation: "unpause", ...known }, "engine", "is not paused"],
      [
        () => manager.rename(id, "a b"),
        { operation: "rename", ...known },
        "engine",
        "Invalid container name",
      ],
      [() => manager.exec(id, ["true"]), { operation: "exec", ...known }, "conflict", "is not running"],
      [() => manager.exec(id, []), { operation: "exec", ...known }, "usage", "no command"],
    ];
    const eventNames: Record<string, string> = {
      create: "container:created",
      start: "container:started",
      stop: "container:stopped",
      kill: "container:stopped",
      restart: "container:stopped",
      remove: "container:removed",
    };
    for (const [act, expected, code, words] of cases) {
      const before = operated.emitted.length;
      const { containerId, ...rest } = expected;
      let emittedBefore = -1;
      const failing = act().catch((error: unknown) => {
        emittedBefore = operated.emitted.length;
        throw error;
      });
      const error = await assertRejects(() => failing, ApexError);
      assertEquals(error.code, code, error.message);
      assertStringIncludes(error.message, words);
      assertEquals(
        emittedBefore,
        before + 1,
        `${expected.operation} emits its failure, once, before it rejects`,
      );
      const failure = operated.emitted.at(-1);
      assertEquals(failure?.name, eventNames[expected.operation ?? ""] ?? "container:operation_failed");
      assertFailure(failure?.event, {
        ...rest,
        ...(containerId !== undefined && { containerId }),
        error: error.message,
      });
    }
  },

  "a start that fails right after the creation is published with the container's id and task": async (
    operated,
  ) => {
    const { manager } = operated;
    const { id, name } = await manager.create({
      ...BASE,
      cmd: ["apx-no-such-command"],
      name: "apex-task-typo",
    });
    const error = await assertRejects(() => manager.start(id), ApexError);
    assertStringIncludes(error.message, "cannot start container apex-task-typo: ");
    assertStringIncludes(error.message, "apx-no-such-command");
    const failure = operated.emitted.find(({ event }) => !event.success);
    assertEquals(failure?.name, "container:started");
    const subject = { containerId: id, containerName: name, image: BASE.image, taskId: "typo" };
    assertFailure(failure?.event, { operation: "start", ...subject, error: error.message });
    await manager.remove(id);
    await operated.until(name, "removed unforced");
    // The same for a removed container, as long as it is known.
    await assertRejects(() => manager.stop(id), ApexError, "cannot stop container apex-task-typo: ");
    assertFailure(operated.emitted.at(-1)?.event, { operation: "stop", ...subject, error: undefined });
  },

  "failing questions reject with the engine's reason, and emit nothing": async (operated) => {
    const { manager } = operated;
    const questions: [() => Promise<unknown>, string][] = [
      [() => manager.inspect("missing"), "cannot inspect container missing: "],
      [() => manager.stats("missing"), "cannot read the statistics of container missing: "],
      [() => manager.wait("missing"), "cannot wait for container missing: "],
      [() => outputOf(operated, { id: "missing" }), "cannot read the output of container missing: "],
      [
        () => outputOf(operated, { id: "missing", follow: true }),
        "cannot read the output of container missing: ",
      ],
    ];
    for (const [ask, words] of questions) {
      const error = await assertRejects(ask, ApexError);
      assertEquals(error.code, "not_found");
      assertStringIncludes(error.message, words);
    }
    assertEquals(operated.emitted, []);
  },
};

function assertFailure(
  event: unknown,
  expected: Partial<Omit<ContainerOperationFailedEvent, "error">> & { error: string | undefined },
): void {
  const { timestamp, error, ...rest } = event as ContainerOperationFailedEvent;
  const { error: expectedError, ...expectedRest } = expected;
  assertEquals(rest, { success: false, ...expectedRest } as typeof rest);
  if (expectedError !== undefined) assertEquals(error, expectedError);
  assert(Math.abs(timestamp.getTime() - Date.now()) < 60_000);
}

await testOnEngines("ContainerManager's failing operations", { checks: CHECKS });
