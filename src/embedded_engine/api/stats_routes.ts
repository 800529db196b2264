/** `GET /containers/{id}/stats`: one reading, or one each second until the container is removed. */
import { abortableDelay } from "../../platform/async/wait.ts";
import type { Clock } from "../../platform/clock.ts";
import type { ContainerIndex } from "../containers/container_index.ts";
import type { EmbeddedContainer } from "../containers/embedded_container.ts";
import { type HttpReply, type HttpRequest, jsonReply } from "../http/http_message.ts";
import type { Route } from "../http/router.ts";
import { allProcesses, type ProcessStat, readProc } from "../processes/proc_files.ts";
import { type EngineTime, formatNano, ZERO_TIME } from "../spec/nano_time.ts";
import { booleanParameter } from "./parameters.ts";

const INTERVAL_MS = 1_000;

/** /proc counts time in hundredths of a second, whatever the tick of the kernel is. */
const NANO_PER_TICK = 10_000_000n;

export interface StatsRoutesOptions {
  readonly containers: ContainerIndex;
  readonly clock: Clock;
  readonly time: EngineTime;
}

export function statsRoutes(options: StatsRoutesOptions): Route[] {
  return [{
    method: "GET",
    path: "/containers/{id}/stats",
    handle: (request, { id = "" }) => stats(request, { ...options, container: options.containers.get(id) }),
  }];
}

interface ProcessUsage {
  /** Number of threads, which Linux counts as "pids". */
  readonly threads: number;
  /** Resident memory; shared pages count for each process. */
  readonly memoryBytes: number;
  /** Time in user and in system mode, with children that have exited and were waited for. */
  readonly userNano: bigint;
  readonly systemNano: bigint;
}

interface Reading {
  readonly timeNano: bigint;
  readonly usage: ProcessUsage;
  readonly machineNano: bigint;
}

type Of = StatsRoutesOptions & { readonly container: EmbeddedContainer };

async function stats(request: HttpRequest, of: Of): Promise<HttpReply> {
  const { query, abort } = request;
  if (query.has("stream") && !booleanParameter(query, "stream")) {
    const before = booleanParameter(query, "one-shot") ? undefined : await read(of);
    if (before !== undefined) await abortableDelay(INTERVAL_MS, { clock: of.clock, abort });
    return jsonReply(200, statsView(of.container, { before, now: await read(of) }));
  }
  return {
    kind: "stream",
    status: 200,
    contentType: "application/json",
    produce: async (write) => {
      let before: Reading | undefined;
      while (!abort.aborted && of.containers.has(of.container)) {
        const now = await read(of);
        await write(
          new TextEncoder().encode(JSON.stringify(statsView(of.container, { before, now })) + "\n"),
        );
        before = now;
        await abortableDelay(INTERVAL_MS, { clock: of.clock, abort });
      }
    },
  };
}

/** Returns undefined for a container that does not run. */
async function read({ container, time }: Of): Promise<Reading | undefined> {
  const { pid } = container.state;
  if (pid === 0) return undefined;
  const sessions = new Set([pid, ...container.execs.running.map((exec) => exec.pid)]);
  sessions.delete(0);
  return { usage: await usageOf(sessions), machineNano: await machineNano(), timeNano: time.next() };
}

/** Values that are unknown (network, disks) are absent, as in Docker for a container without a network. */
function statsView(
  { id, name }: EmbeddedContainer,
  { before, now }: { before: Reading | undefined; now: Reading | undefined },
): Record<string, unknown> {
  const memoryBytes = now?.usage.memoryBytes ?? 0;
  return {
    name: `/${name}`,
    id,
    read: now === undefined ? ZERO_TIME : formatNano(now.timeNano),
    preread: before === undefined ? ZERO_TIME : formatNano(before.timeNano),
    pids_stats: now === undefined ? {} : { current: now.usage.threads },
    num_procs: 0,
    storage_stats: {},
    cpu_stats: cpuView(now),
    precpu_stats: cpuView(before),
    memory_stats: now === undefined ? {} : {
      usage: memoryBytes,
      // The resident memory of processes contains no page cache, which clients subtract.
      stats: { rss: memoryBytes, cache: 0, inactive_file: 0, total_inactive_file: 0 },
      limit: Deno.systemMemoryInfo().total,
    },
  };
}

function cpuView(reading: Reading | undefined): Record<string, unknown> {
  const { userNano, systemNano } = reading?.usage ?? { userNano: 0n, systemNano: 0n };
  return {
    cpu_usage: {
      total_usage: Number(userNano + systemNano),
      usage_in_kernelmode: Number(systemNano),
      usage_in_usermode: Number(userNano),
    },
    ...reading && {
      system_cpu_usage: Number(reading.machineNano),
      online_cpus: navigator.hardwareConcurrency,
    },
    throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
  };
}

/** The sum over all processes of the given sessions; zeros on a machine without /proc. */
async function usageOf(sessions: ReadonlySet<number>): Promise<ProcessUsage> {
  const members = (await allProcesses()).filter(({ session }) => sessions.has(session));
  const sum = (ticksOf: (stat: ProcessStat) => bigint) =>
    members.reduce((total, member) => total + ticksOf(member), 0n) * NANO_PER_TICK;
  return {
    threads: members.reduce((total, { threads }) => total + threads, 0),
    memoryBytes: await residentBytes(members.map(({ pid }) => pid)),
    userNano: sum(({ utime, cutime }) => utime + cutime),
    systemNano: sum(({ stime, cstime }) => stime + cstime),
  };
}

/** The total time of all processors since the machine's start, idle time included. */
async function machineNano(): Promise<bigint> {
  const [line = ""] = (await readProc(["stat"])).split("\n");
  // cpu user nice system idle iowait irq softirq steal; user time includes guest time.
  const ticks = line.trim().split(/\s+/).slice(1, 9);
  return ticks.reduce((total, each) => total + BigInt(each), 0n) * NANO_PER_TICK;
}

/** The sum of the processes that still exist. */
async function residentBytes(pids: readonly number[]): Promise<number> {
  const statuses = await readProc(pids.map((pid) => `${pid}/status`));
  const sizes = [...statuses.matchAll(/^VmRSS:\s+(\d+) kB$/gm)].map(([, kilobytes]) => Number(kilobytes));
  return sizes.reduce((total, kilobytes) => total + kilobytes * 1024, 0);
}
