/**
 * Plays random histories of sessions. Every history must give a legal sequence of events, and `list` must always agree with
 * them. The container layer is a fake whose events lag behind its replies. The pool is real.
 */
import { assert, assertEquals } from "@std/assert";
import { ApexError } from "../../src/platform/apex_error.ts";
import { silentLogger } from "../../src/platform/logger.ts";
import { SESSION_EVENT_NAMES, type SessionEventName } from "../../src/sessions/session.ts";
import { SessionPool } from "../../src/sessions/session_pool.ts";
import { openStorage } from "../../src/storage/storage.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { randomOf } from "../support/random.ts";
import { FakeContainers } from "../support/sessions/fake_containers.ts";
import { TestClient } from "../support/sessions/test_client.ts";
import { within } from "../support/within.ts";

const NAMES = ["a", "b", "c"];
const STEPS = 150;
const SEEDS = 60;

Deno.test("SessionPool publishes legal sequences that agree with its list in random histories", async () => {
  const seen = new Set<string>();
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      for (const what of await play(seed)) seen.add(what);
    } catch (cause) {
      throw new Error(`seed ${seed} failed`, { cause });
    }
  }
  // The histories must cover all of these.
  for (
    const what of [
      "created",
      "attached",
      "detached",
      "removed while attached",
      "removed while detached",
      "attach: created",
      "attach: again",
      "attach: busy",
      "kill: not_found",
      "detach: conflict",
      "last: exit exit",
      "last: exit killed",
      "last: exit ttl",
      "last: detach forced",
      "last: detach requested",
    ]
  ) assert(seen.has(what), `it never happened: ${what}`);
});

/** Plays one random history to its end, and returns what has happened in it. */
async function play(seed: number): Promise<Set<string>> {
  const random = randomOf(seed);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  const clock = new FakeClock();
  const engine = new FakeContainers();
  engine.beforeEach = async () => {
    for (let ticks = Math.floor(random() * 8); ticks > 0; ticks--) await Promise.resolve();
  };
  using storage = openStorage({ path: ":memory:", clock, logger: silentLogger });
  const pool = new SessionPool({
    containers: engine.asContainers(),
    terminals: engine.terminals,
    store: storage.sessions,
    clock,
    logger: silentLogger,
    config: { image: "img", scrollbackLines: 10, killGraceMs: 1_000, restore: { kind: "screen" } },
  });
  const happened = new Set<string>();
  const judge = new Judge(pool, engine, happened);
  engine.connect();
  await pool.ready();

  const clients: TestClient[] = [];
  const pending = new Set<Promise<void>>();
  let attaches = 0;
  const inBackground = (what: string, work: Promise<unknown>): void => {
    const settled: Promise<void> = work.then(() => {}, (error: unknown) => {
      if (!(error instanceof ApexError)) throw error;
      happened.add(`${what}: ${error.code}`);
    }).finally(() => pending.delete(settled));
    pending.add(settled);
  };
  const attach = async (name: string): Promise<void> => {
    const client = new TestClient({ clock });
    clients.push(client);
    const { created } = await pool.attach({
      name,
      force: random() < 0.3,
      background: random() < 0.1,
      ...(random() < 0.3 && { ttlMs: 1 + Math.floor(random() * 20_000) }),
    }, client.client);
    attaches++;
    happened.add(created ? "attach: created" : "attach: again");
    client.serve();
  };
  const running = (): string[] =>
    [...engine.containers.values()].filter(({ state }) => state === "running").map(({ id }) => id);

  const actions: readonly (() => void)[] = [
    () => inBackground("attach", attach(pick(NAMES))),
    () => inBackground("attach", attach(pick(NAMES))),
    () => inBackground("detach", Promise.try(() => pool.detach(pick(NAMES)))),
    () => inBackground("kill", pool.kill(pick(NAMES))),
    () => engine.exit(pick(running()) ?? "", Math.floor(random() * 3)),
    () => inBackground("rm", engine.remove(pick(running()) ?? "")),
    () => pick(clients)?.vanish(),
    () => pick(clients)?.sendFrame("detach"),
    () => pick(clients)?.type("x"),
    () => clock.advance(Math.floor(random() * 2_000)),
    () => running().forEach((id) => engine.print(id, "hello\r\n")),
    () =>
      void (random() < 0.1 && engine.failures.set(pick(["create", "start", "attach"] as const), refusal())),
  ];
  for (let step = 0; step < STEPS; step++) {
    pick(actions)();
    for (let count = Math.floor(random() * 4); count > 0; count--) engine.deliver();
    for (let ticks = Math.floor(random() * 10); ticks > 0; ticks--) await Promise.resolve();
    // Some work needs a turn of the event loop.
    if (random() < 0.1) await turn();
  }

  await settle({ engine, clock, isSettled: () => pending.size === 0 && engine.queued === 0 });
  for (const { name } of pool.list()) inBackground("kill", pool.kill(name));
  await settle({ engine, clock, isSettled: () => pending.size === 0 && engine.queued === 0 });
  assertEquals(pool.list(), []);
  assertEquals([...engine.containers.keys()], [], "containers remain");
  assertEquals(storage.sessions.ofEngine("ENGINE"), [], "rows remain");
  assertEquals(judge.attached, attaches, "each attach is one event");
  await within(10_000, "the end of the pool", pool[Symbol.asyncDispose]());
  for (const client of clients) {
    await client[Symbol.asyncDispose]();
    if (client.last !== undefined) {
      happened.add(`last: ${client.last.kind} ${client.last.value.reason}`);
    }
  }
  assertEquals(clock.pendingTimers, 0);
  assertEquals(engine.listenerCount(), 0);
  assertEquals([...judge.errors, ...engine.listenerErrors], []);
  return happened;
}

/** Checks each event as it is published. */
class Judge {
  readonly errors: unknown[] = [];
  attached = 0;
  /** The state according to the events, by name. */
  readonly #published = new Map<string, "attached" | "detached">();
  readonly #containers = new Map<string, string>();

  constructor(pool: SessionPool, engine: FakeContainers, happened: Set<string>) {
    for (const change of SESSION_EVENT_NAMES) {
      pool.on(change, ({ session: name }) => {
        try {
          const before = this.#published.get(name);
          happened.add(
            change === "session:removed" ? `removed while ${before}` : change.replace("session:", ""),
          );
          this.#judge(change, name);
          this.#judgeCause(change, name, engine);
          const listed = pool.list();
          assertEquals(
            new Map(listed.map(({ name, status }) => [name, status])),
            new Map([...this.#published].sort(byPlaceIn(listed.map((each) => each.name)))),
            `the list inside ${change} of ${name}`,
          );
          for (const { name, containerId } of listed) this.#containers.set(name, containerId);
        } catch (error) {
          this.errors.push(error);
        }
      });
    }
  }

  #judge(change: SessionEventName, name: string): void {
    const before = this.#published.get(name);
    switch (change) {
      case "session:created":
        assertEquals(before, undefined, `${name} was created twice`);
        this.#published.set(name, "detached");
        break;
      case "session:attached":
        assertEquals(before, "detached", `${name} was attached while ${before}`);
        this.#published.set(name, "attached");
        this.attached++;
        break;
      case "session:detached":
        assertEquals(before, "attached", `${name} was detached while ${before}`);
        this.#published.set(name, "detached");
        break;
      case "session:removed":
        assert(before !== undefined, `${name} was removed, but does not exist`);
        this.#published.delete(name);
        break;
    }
  }

  /** A creation is published in the block of the container's start, a removal in that of its end. */
  #judgeCause(change: SessionEventName, name: string, { current, containers }: FakeContainers): void {
    if (change === "session:created") assertEquals(current?.name, "container:started");
    if (change !== "session:removed") return;
    const id = this.#containers.get(name) ?? "";
    if (current === undefined) {
      // No event of its end arrived for seconds, and the engine was asked.
      assert(containers.get(id)?.state !== "running", `${name} was removed while it runs`);
    } else {
      assertEquals(current.id, id);
      assert(current.name !== "container:started" && current.name !== "container:created");
    }
  }
}

function byPlaceIn(names: readonly string[]): (a: [string, unknown], b: [string, unknown]) => number {
  return ([a], [b]) => names.indexOf(a) - names.indexOf(b);
}

/** Delivers events and advances the clock until nothing changes. */
async function settle({ engine, clock, isSettled }: {
  engine: FakeContainers;
  clock: FakeClock;
  isSettled: () => boolean;
}): Promise<void> {
  let quiet = 0;
  for (let rounds = 0; quiet < 3; rounds++) {
    assert(rounds < 500, "it does not settle");
    while (engine.queued > 0) engine.deliver();
    await turn();
    clock.advance(500);
    quiet = isSettled() ? quiet + 1 : 0;
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

function refusal(): ApexError {
  return new ApexError("engine", "the engine refused");
}
