/**
 * Measures the whole path with and without the journal: from the engine's stream, through one daemon for each, to the last
 * line of the last subscriber. The engine is scripted, so that it is never the bottleneck.
 */
import { request } from "../src/client/control_exchange.ts";
import { ApexHome, eventually } from "../tests/support/daemons/apex_process.ts";
import { EngineLoad, EVENTS_PER_CONTAINER } from "../tests/support/engines/engine_load.ts";
import { type BenchPrograms, denoProgram, LineProcess } from "./programs.ts";
import { median, print, printTable, quantile, verdictOf } from "./report.ts";

const CASES = [
  { subscribers: 1, target: 0.5 },
  { subscribers: 100, target: 0.8 },
] as const;
const ROUNDS = 5;
/** Containers whose events the engine sends in one piece, as an engine under load does. */
const CONTAINERS_PER_PIECE = 50;
const PIECES = 40;
const SINGLE_EVENTS = 100;

export async function wholePath(_programs: BenchPrograms): Promise<void> {
  print("\nThe whole path, from the engine's stream to the last line, with and without the journal");
  const rows: string[][] = [];
  for (const { subscribers, target } of CASES) {
    await using withIt = await Path.open(subscribers, []);
    await using without = await Path.open(subscribers, ["--no-journal"]);
    for (const path of [withIt, without]) await path.rate();
    const rates = { with: [] as number[], without: [] as number[] };
    const delays = { with: [] as number[], without: [] as number[] };
    for (let round = 0; round < ROUNDS; round++) {
      rates.with.push(await withIt.rate());
      rates.without.push(await without.rate());
      delays.with.push(...await withIt.delays());
      delays.without.push(...await without.delays());
    }
    const ratio = median(rates.with) / median(rates.without);
    rows.push([
      String(subscribers),
      (median(rates.with) / 1e3).toFixed(1),
      (median(rates.without) / 1e3).toFixed(1),
      verdictOf({ ratio, target, bound: "atLeast" }),
      `${median(delays.with).toFixed(2)} / ${quantile(delays.with, 0.99).toFixed(2)}`,
      `${median(delays.without).toFixed(2)} / ${quantile(delays.without, 0.99).toFixed(2)}`,
    ]);
  }
  printTable(
    ["subscribers", "k events/s, journal", "none", "ratio", "ms p50 / p99, journal", "none"],
    rows,
  );
  await besideFrozen();
}

/** Measures whether a consumer that does not read, and has events queued, slows down another one. */
async function besideFrozen(): Promise<void> {
  await using path = await Path.open(1, []);
  await path.rate();
  const before = await path.delays();
  await using frozen = path.home.spawn(["events", "--reconnect"]);
  await eventually(async () => await path.subscribers() === 2, "the consumer to freeze is registered");
  frozen.kill("SIGSTOP");
  for (let n = 0; n < 3; n++) await path.rate();
  const beside = await path.delays();
  const p = (delays: readonly number[]) =>
    `${median(delays).toFixed(2)} / ${quantile(delays, 0.99).toFixed(2)}`;
  print(`Delay, ms p50 / p99: ${p(before)} alone, ${p(beside)} with another consumer frozen`);
}

/** An engine, a daemon that follows it, and subscribers. */
class Path implements AsyncDisposable {
  readonly home: ApexHome;
  readonly #load: EngineLoad;
  readonly #readers: LineProcess;
  readonly #owned: AsyncDisposableStack;

  private constructor(
    { home, load, readers }: { home: ApexHome; load: EngineLoad; readers: LineProcess },
    owned: AsyncDisposableStack,
  ) {
    this.home = home;
    this.#load = load;
    this.#readers = readers;
    this.#owned = owned;
  }

  static async open(subscribers: number, flags: readonly string[]): Promise<Path> {
    await using stack = new AsyncDisposableStack();
    const home = stack.use(await ApexHome.create());
    const load = stack.use(new EngineLoad(`${home.dir}/e`));
    stack.use(await home.startDaemon(["--engine", `unix://${home.dir}/e`, ...flags]));
    const readers = stack.use(
      new LineProcess([...denoProgram("line_readers.ts"), home.eventsSocket, String(subscribers)]),
    );
    await readers.line();
    const registered = async () => (await request(home.controlSocket, "status", {})).subscribers;
    await eventually(async () => await registered() === subscribers, "all subscribers are registered");
    return new Path({ home, load, readers }, stack.move());
  }

  async subscribers(): Promise<number> {
    return (await request(this.home.controlSocket, "status", {})).subscribers;
  }

  /** Returns events per second, until the last subscriber has received the last event. */
  async rate(): Promise<number> {
    const events = PIECES * CONTAINERS_PER_PIECE * EVENTS_PER_CONTAINER;
    await this.#readers.writeLine(String(events));
    const startedAtMs = nowMs();
    for (let piece = 0; piece < PIECES; piece++) await this.#load.live(CONTAINERS_PER_PIECE);
    return events / (Number(await this.#readers.line()) - startedAtMs) * 1e3;
  }

  /** Returns the milliseconds from the events of one container to the last line, without other load. */
  async delays(): Promise<number[]> {
    const delays: number[] = [];
    for (let n = 0; n < SINGLE_EVENTS; n++) {
      await this.#readers.writeLine(String(EVENTS_PER_CONTAINER));
      const startedAtMs = nowMs();
      await this.#load.live(1);
      delays.push(Number(await this.#readers.line()) - startedAtMs);
    }
    return delays;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }
}

function nowMs(): number {
  return performance.timeOrigin + performance.now();
}
