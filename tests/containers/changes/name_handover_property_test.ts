/**
 * In published events a name has one owner at a time. This is checked over random courses, in which a few names are used
 * repeatedly while the stream breaks, the engine forgets events, exits are held or inspected, and apex is restarted.
 */
import { assert, assertEquals } from "@std/assert";
import type { ContainerInspect } from "../../../src/engine/engine_types.ts";
import { T0_MS } from "../../support/containers/engine_feed.ts";
import { ModelEngine } from "../../support/containers/model_engine.ts";
import { RestartedFeed } from "../../support/containers/restarted_feed.ts";
import { randomOf } from "../../support/random.ts";
import { soakCount } from "../../support/soak.ts";
import { TempDir } from "../../support/temp_dir.ts";

const SEEDS = soakCount({ usual: 40, soak: 2_000 });
const STEPS = 120;
/** Events that the engine remembers: so few that an interruption often loses some for good. */
const REMEMBERED = 5;

class Course implements AsyncDisposable {
  readonly #random: () => number;
  readonly #engine: ModelEngine;
  readonly #path: string;
  #run: RestartedFeed;
  #isConnected = true;
  #isSettling = false;
  #comparison: { readonly done: Promise<void>; isOver: boolean; readonly abort: AbortController } | undefined;
  /** Resolvers of the inspects that are not answered yet. */
  readonly #slow = new Set<() => void>();
  /** For each container, the published events in order. */
  readonly published = new Map<string, string[]>();
  /** Everything published up to each creation at whose publication another container had the name. */
  readonly early: string[][] = [];
  readonly #all: string[] = [];

  constructor(seed: number, path: string) {
    this.#random = randomOf(seed);
    this.#engine = new ModelEngine(this.#random, T0_MS);
    this.#path = path;
    this.#run = this.#begin();
  }

  async step(): Promise<void> {
    const pick = this.#random();
    if (pick < 0.6) this.#engine.act();
    else if (pick < 0.7) this.#pass(Math.floor(this.#random() * 800));
    else if (pick < 0.78) this.#cut();
    else if (pick < 0.86 && !this.#isConnected) await this.#reconnect();
    else if (pick < 0.9) this.#answerSlow();
    else if (pick < 0.92) await this.#restart();
    else this.#compare();
    await this.#deliver();
  }

  /** Delivers everything, and compares until apex requests no more comparisons. */
  async settle(): Promise<void> {
    this.#engine.finish();
    this.#isSettling = true;
    if (!this.#isConnected) await this.#reconnect();
    await this.#deliver();
    for (let asked = -1; asked < this.#run.feed.reconcileRequests;) {
      asked = this.#run.feed.reconcileRequests;
      while (this.#comparison !== undefined) await this.#pump();
      this.#compare();
      while (this.#comparison !== undefined) await this.#pump();
      this.#answerSlow();
      await this.#run.feed.settle();
      this.#pass(2_500);
      await this.#run.feed.settle();
    }
  }

  check(): void {
    assertEquals(this.early, [], "a creation before the end of the container that had the name");
    const known = this.#run.feed.tracker.registry.list().map(({ id, name, state }) =>
      [id, name, state].join(" ")
    );
    assertEquals(known.sort(), this.#engine.listed().sort(), this.#all.join("\n"));
    for (const [id, events] of this.published) {
      const count = (type: string): number => events.filter((event) => event === type).length;
      assert(count("created") <= 1, `${id}: ${events}`);
      const isRemoved = !this.#engine.has(id);
      assertEquals(count("removed"), isRemoved ? 1 : 0, `${id}: ${events}\n${this.#all.join("\n")}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
  }

  #begin(): RestartedFeed {
    const run = new RestartedFeed({
      path: this.#path,
      nowMs: this.#engine.nowMs,
      containers: this.#engine.list(),
      answer: (id) => this.#answer(id),
    });
    run.feed.orchestrator.on("container:*", (event, name) => {
      if (!event.success) return;
      const type = name.replace("container:", "");
      this.#all.push(`${type} ${event.containerId} ${event.containerName} ${event.origin ?? ""}`);
      this.published.set(event.containerId, [...this.published.get(event.containerId) ?? [], type]);
      // A rename has no event, so only removals count.
      const others = run.feed.tracker.registry.list().filter(({ id, name }) =>
        name === event.containerName && this.#engine.hadEnded(id, { before: event.containerId })
      );
      if (type === "created" && others.length > 0) this.early.push([...this.#all]);
    });
    return run;
  }

  async #answer(id: string): Promise<ContainerInspect | undefined> {
    if (this.#isSettling) return this.#engine.inspect(id);
    if (this.#random() < 0.2) await new Promise<void>((resolve) => this.#slow.add(resolve));
    if (!this.#isConnected || this.#random() < 0.05) throw new Error("the engine does not answer");
    return this.#engine.inspect(id);
  }

  #answerSlow(): void {
    for (const answer of this.#slow) answer();
    this.#slow.clear();
  }

  /** Advances the time of apex and of the engine. */
  #pass(ms: number): void {
    this.#engine.nowMs += ms;
    const { clock } = this.#run.feed;
    clock.advance(Math.max(0, this.#engine.nowMs - clock.now()));
  }

  async #deliver(): Promise<void> {
    this.#pass(0);
    if (this.#isConnected) { for (const event of this.#engine.take()) await this.#run.say(event); }
    await this.#pump();
  }

  /** The engine does not wait for apex: a comparison continues while containers change. */
  async #pump(): Promise<void> {
    await this.#run.feed.settle();
    if (this.#comparison === undefined) return;
    this.#answerSlow();
    this.#pass(100);
    await this.#run.feed.settle();
    if (this.#comparison.isOver) this.#comparison = undefined;
  }

  #compare(): void {
    if (!this.#isConnected || this.#comparison !== undefined) return;
    const abort = new AbortController();
    const comparison = { isOver: false, abort, done: Promise.resolve() };
    comparison.done = this.#run.feed.tracker.reconcile(this.#engine.list(), abort.signal)
      .catch(() => {}) // an inspect failed: the next comparison repeats it
      .finally(() => comparison.isOver = true);
    this.#comparison = comparison;
  }

  #cut(): void {
    if (!this.#isConnected) return;
    this.#isConnected = false;
    this.#comparison?.abort.abort();
    this.#comparison = undefined;
    this.#run.feed.tracker.disconnected("cut");
  }

  async #reconnect(): Promise<void> {
    this.#isConnected = true;
    const remembered = this.#engine.take().slice(-REMEMBERED);
    await this.#run.reconnect(this.#engine.list(), remembered);
  }

  async #restart(): Promise<void> {
    await this.#end();
    const remembered = this.#engine.take().slice(-REMEMBERED);
    this.#isConnected = true;
    this.#run = this.#begin();
    await this.#run.replay(remembered);
  }

  async #end(): Promise<void> {
    this.#comparison?.abort.abort();
    this.#answerSlow();
    await this.#comparison?.done;
    this.#comparison = undefined;
    await this.#run.feed.tracker.stop(); // as the daemon does: nothing changes after its last event
    await this.#run[Symbol.asyncDispose]();
  }
}

Deno.test("a name has one owner at a time in what is published", async (t) => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    await t.step(`seed ${seed}`, async () => {
      await using dir = await TempDir.make();
      await using course = new Course(seed, dir.join("apex.db"));
      for (let step = 0; step < STEPS; step++) await course.step();
      await course.settle();
      course.check();
      assert(course.published.size > 5, "the course has too few containers");
    });
  }
});
