import { assertEquals, assertRejects } from "@std/assert";
import { Readiness } from "../../../src/daemon/operations/readiness.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";
import type { StatusResult } from "../../../src/protocol/daemon_operations.ts";
import { nextTurn } from "../../support/daemons/test_control_server.ts";
import { FakeClock } from "../../support/fake_clock.ts";

type Question =
  | "containersKnown"
  | "containersCaughtUp"
  | "engineConnected"
  | "tasksKnown"
  | "tasksUsable"
  | "ownersKnown";

/** A daemon that has just started. */
class Fixture {
  readonly clock = new FakeClock();
  readonly stop = new AbortController();
  readonly engine: {
    current: StatusResult["engine"];
    firstCaughtUp: Promise<void>;
    connected: Promise<void>;
  };
  readonly adoption: { error: string | undefined; settled: Promise<void> };
  readonly #connected = Promise.withResolvers<void>();
  readonly #adopted = Promise.withResolvers<void>();
  readonly #readiness: Readiness;

  constructor() {
    const current = { state: "connecting", socket: "/e.sock", source: "a test" } as const;
    this.engine = { current, firstCaughtUp: this.#connected.promise, connected: this.#connected.promise };
    this.adoption = { error: undefined, settled: this.#adopted.promise };
    this.#readiness = new Readiness(this);
  }

  connect(): void {
    this.engine.current = { ...this.engine.current, state: "connected", kind: "docker" };
    this.#connected.resolve();
  }

  adopt(error?: string): void {
    this.adoption.error = error;
    this.#adopted.resolve();
  }

  /** The outcome of a call: `waits` until it settles. */
  ask(question: Question): { outcome: string } {
    const asked = { outcome: "waits" };
    this.#readiness[question](this.stop.signal).then(
      () => asked.outcome = "ready",
      (error) => asked.outcome = error.message,
    );
    return asked;
  }

  async advance(ms: number): Promise<void> {
    this.clock.advance(ms);
    await nextTurn();
  }
}

const ADVICE =
  `the daemon (pid ${Deno.pid}) has not reached its engine yet; start that engine, or end the daemon (apex stop) and name another: `;
const UNKNOWN = `${ADVICE}the engine at /e.sock (from a test) does not answer`;

Deno.test("Readiness waits for the engine, and for the adoption of tasks", async () => {
  const fixture = new Fixture();
  const questions = ["containersKnown", "tasksKnown", "tasksUsable", "ownersKnown"] as const;
  const asked = questions.map((question) => fixture.ask(question));
  const outcomes = () => asked.map(({ outcome }) => outcome);
  await fixture.advance(1_900);
  assertEquals(outcomes(), ["waits", "waits", "waits", "waits"]);
  fixture.connect();
  await nextTurn();
  assertEquals(outcomes(), ["ready", "waits", "waits", "waits"]);
  fixture.adopt();
  await nextTurn();
  assertEquals([outcomes(), fixture.clock.pendingTimers], [["ready", "ready", "ready", "ready"], 0]);
});

Deno.test("Readiness gives up an engine that does not answer, but not the tasks", async () => {
  const fixture = new Fixture();
  const containers = fixture.ask("containersKnown");
  const tasks = fixture.ask("tasksKnown");
  const usable = fixture.ask("tasksUsable");
  await fixture.advance(2_000);
  assertEquals([containers.outcome, tasks.outcome, usable.outcome], [UNKNOWN, "ready", "waits"]);
  await fixture.advance(3_000);
  assertEquals(usable.outcome, UNKNOWN);
  fixture.engine.current = { ...fixture.engine.current, state: "disconnected", error: "no such file" };
  const later = fixture.ask("containersKnown");
  await fixture.advance(2_000);
  assertEquals(later.outcome, `${ADVICE}no such file`);
});

Deno.test("Readiness waits for a lost engine, and names the daemon if it does not come back", async () => {
  const fixture = new Fixture();
  fixture.connect();
  const again = Promise.withResolvers<void>();
  const current = { ...fixture.engine.current, state: "disconnected", error: "gone" } as const;
  Object.assign(fixture.engine, { current, connected: again.promise });
  const lost = fixture.ask("engineConnected");
  await fixture.advance(4_900);
  assertEquals(lost.outcome, "waits");
  await fixture.advance(100);
  assertEquals(
    lost.outcome,
    `${ADVICE.replace("has not reached its engine yet", "has lost its engine at /e.sock (from a test)")}gone`,
  );
  const found = fixture.ask("engineConnected");
  fixture.connect();
  again.resolve();
  await nextTurn();
  assertEquals(found.outcome, "ready");
});

Deno.test("Readiness refuses operations on orphans until all tasks are adopted", async () => {
  const slow = new Fixture();
  slow.connect();
  const tooEarly = slow.ask("ownersKnown");
  await slow.advance(5_000);
  assertEquals(
    tooEarly.outcome,
    "which task a container belongs to is not known yet: the tasks of the last daemon are still being adopted; " +
      "try again",
  );
  const failed = new Fixture();
  failed.connect();
  failed.adopt("out of luck");
  const never = failed.ask("ownersKnown");
  const usable = failed.ask("tasksUsable");
  await nextTurn();
  assertEquals(never.outcome, "which task a container belongs to is not known yet: out of luck");
  assertEquals(usable.outcome, "ready");
});

Deno.test("Readiness refuses to follow containers until the engine has reported all of them", async () => {
  const fixture = new Fixture();
  // The engine answers, but has not reported its containers yet.
  fixture.engine.current = { ...fixture.engine.current, state: "connected", kind: "docker" };
  const early = fixture.ask("containersCaughtUp");
  await fixture.advance(5_000);
  assertEquals(early.outcome, "the engine has not reported all of its containers yet; try again");
  const asked = fixture.ask("containersCaughtUp");
  fixture.connect();
  await nextTurn();
  assertEquals([asked.outcome, fixture.clock.pendingTimers], ["ready", 0]);
});

Deno.test("Readiness fails as `engine` when the daemon ends during a wait", async () => {
  const fixture = new Fixture();
  fixture.stop.abort();
  const error = await assertRejects(
    () => new Readiness(fixture).containersKnown(fixture.stop.signal),
    ApexError,
  );
  assertEquals([error.code, fixture.clock.pendingTimers], ["engine", 0]);
});
