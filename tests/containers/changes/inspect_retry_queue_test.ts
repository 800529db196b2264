/** When and how often the queue inspects a container, and that it leaves nothing behind. */
import { assertEquals } from "@std/assert";
import { InspectRetryQueue } from "../../../src/containers/changes/inspect_retry_queue.ts";
import type { ContainerInspect } from "../../../src/engine/engine_types.ts";
import { type Logger, silentLogger } from "../../../src/platform/logger.ts";
import { inspectOf } from "../../support/containers/engine_feed.ts";
import { FakeClock } from "../../support/fake_clock.ts";

type Answer = (id: string) => Promise<ContainerInspect | undefined>;

const never: Answer = () => new Promise(() => {});
const refused: Answer = () => Promise.reject(new Error("connection refused"));
const exited: Answer = (id) => Promise.resolve(inspectOf(id, { status: "exited", exitCode: 3 }));

/** A queue whose inspects a test answers. */
class Asked implements AsyncDisposable {
  readonly clock = new FakeClock();
  /** Ids, one for each try. */
  readonly tries: string[] = [];
  readonly answers: string[] = [];
  readonly warnings: string[] = [];
  answer: Answer = never;
  underWay = 0;
  readonly inspects: InspectRetryQueue;

  constructor() {
    const logger: Logger = { ...silentLogger, warn: (message) => this.warnings.push(message) };
    this.inspects = new InspectRetryQueue({
      inspect: (id, abort) => this.#inspect(id, abort),
      clock: this.clock,
      logger,
    });
  }

  ask(id: string, isOpen: () => boolean = () => true): void {
    this.inspects.ask({
      id,
      name: id,
      isOpen,
      answer: (result) => {
        this.answers.push(`${id} ${typeof result === "object" ? result.State.ExitCode : result}`);
      },
    });
  }

  settle(): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, 0));
  }

  async pass(ms: number): Promise<void> {
    this.clock.advance(ms);
    await this.settle();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.inspects[Symbol.asyncDispose]();
  }

  async #inspect(id: string, abort: AbortSignal): Promise<ContainerInspect | undefined> {
    this.tries.push(id);
    this.underWay++;
    const aborted = Promise.withResolvers<never>();
    abort.addEventListener("abort", () => aborted.reject(abort.reason), { once: true });
    try {
      return await Promise.race([this.answer(id), aborted.promise]);
    } finally {
      this.underWay--;
    }
  }
}

Deno.test("ask() answers at once, also for a container that was removed", async () => {
  await using asked = new Asked();
  asked.inspects.resume();
  asked.answer = (id) => id === "removed" ? Promise.resolve(undefined) : exited(id);
  asked.ask("web");
  asked.ask("removed");
  assertEquals(asked.answers, []);
  await asked.settle();
  assertEquals(asked.answers, ["web 3", "removed removed"]);
  assertEquals(asked.clock.pendingTimers, 0);
});

Deno.test("ask() does not inspect while the engine is disconnected", async () => {
  await using asked = new Asked();
  asked.ask("early");
  await asked.settle();
  assertEquals(asked.tries, []);
  asked.inspects.resume();
  await asked.settle();
  asked.inspects.pause();
  asked.ask("late");
  assertEquals(asked.clock.pendingTimers, 1, "the try that is being aborted");
  await asked.settle();
  assertEquals([asked.underWay, asked.clock.pendingTimers], [0, 0]);
  await asked.pass(3_600_000);
  assertEquals([asked.tries, asked.answers], [["early"], []]);
  asked.answer = exited;
  asked.inspects.resume();
  await asked.settle();
  assertEquals(asked.answers.toSorted(), ["early 3", "late 3"]);
});

Deno.test("ask() retries at once when the engine is back", async () => {
  await using asked = new Asked();
  asked.inspects.resume();
  asked.answer = refused;
  asked.ask("web");
  await asked.settle();
  assertEquals([asked.underWay, asked.clock.pendingTimers], [0, 1]);
  asked.inspects.pause();
  assertEquals(asked.clock.pendingTimers, 0);
  asked.answer = exited;
  asked.inspects.resume();
  await asked.settle();
  assertEquals([asked.tries, asked.answers], [["web", "web"], ["web 3"]]);
});

Deno.test("ask() ignores an answer that arrives after the disconnection", async () => {
  await using asked = new Asked();
  asked.inspects.resume();
  const answer = Promise.withResolvers<ContainerInspect>();
  asked.answer = () => answer.promise;
  asked.ask("web");
  answer.resolve(inspectOf("web", { status: "exited", exitCode: 255 }));
  asked.inspects.pause();
  await asked.settle();
  assertEquals(asked.answers, []);
  asked.answer = exited;
  asked.inspects.resume();
  await asked.settle();
  assertEquals(asked.answers, ["web 3"]);
});

for (const [how, answer] of Object.entries({ "does not answer": never, "refuses": refused })) {
  Deno.test(`ask() tries ten times, a second apart, when a connected engine ${how}`, async () => {
    await using asked = new Asked();
    asked.inspects.resume();
    asked.answer = answer;
    asked.ask("web");
    for (let seconds = 0; seconds < 8; seconds++) await asked.pass(1_000);
    asked.inspects.pause(); // a try that a disconnection ends does not count
    await asked.settle();
    const before = asked.tries.length;
    asked.inspects.resume();
    for (let seconds = 0; seconds < 30; seconds++) await asked.pass(1_000);
    assertEquals(asked.answers, ["web unanswered"]);
    assertEquals(asked.warnings.length, 1);
    const isCut = how === "does not answer" && before < asked.tries.length;
    assertEquals(asked.tries.length, isCut ? 11 : 10);
    assertEquals(asked.clock.pendingTimers, 0);
  });
}

Deno.test("ask() runs at most eight inspects concurrently", async () => {
  await using asked = new Asked();
  const ids = Array.from({ length: 20 }, (_, index) => `c${index}`);
  for (const id of ids) asked.ask(id);
  asked.inspects.resume();
  assertEquals(asked.underWay, 8);
  asked.answer = exited;
  for (let seconds = 0; seconds < 3; seconds++) await asked.pass(1_000);
  assertEquals(asked.answers.toSorted(), ids.map((id) => `${id} 3`).toSorted());
});

Deno.test("ask() does not inspect when the answer is no longer needed", async () => {
  await using asked = new Asked();
  asked.inspects.resume();
  asked.answer = refused;
  let isOpen = true;
  asked.ask("web", () => isOpen);
  await asked.settle();
  isOpen = false;
  await asked.pass(1_000);
  assertEquals([asked.tries, asked.clock.pendingTimers], [["web"], 0]);
});

Deno.test("disposal ends the inspects under way, without answers", async () => {
  const asked = new Asked();
  asked.inspects.resume();
  asked.ask("hanging");
  asked.answer = refused;
  asked.ask("later");
  await asked.settle();
  await asked[Symbol.asyncDispose]();
  await asked[Symbol.asyncDispose]();
  assertEquals([asked.underWay, asked.clock.pendingTimers], [0, 0]);
  asked.ask("after");
  await asked.pass(60_000);
  assertEquals([asked.tries, asked.answers], [["hanging", "later"], []]);
});
