/** `GET /containers/{id}/stats`: one reading, or one a second until the container is gone. */
import { abortableDelay } from "../../platform/async/wait.ts";
import type { Clock } from "../../platform/clock.ts";
import type { ContainerStore } from "../containers/container_store.ts";
import type { EmbeddedContainer } from "../containers/embedded_container.ts";
import { type HttpReply, type HttpRequest, jsonReply } from "../http/http_message.ts";
import type { Route } from "../http/router.ts";
import { machineNano, type ProcessUsage, usageOf } from "../processes/process_usage.ts";
import { type EngineTime, formatNano, ZERO_TIME } from "../spec/nano_time.ts";
import { booleanParameter } from "./parameters.ts";

const INTERVAL_MS = 1_000;

export interface StatsRoutesOptions {
  readonly store: ContainerStore;
  readonly clock: Clock;
  readonly time: EngineTime;
}

export function statsRoutes(options: StatsRoutesOptions): Route[] {
  return [{
    method: "GET",
    path: "/containers/{id}/stats",
    handle: (request, { id = "" }) => stats(request, { ...options, container: options.store.get(id) }),
  }];
}

interface Reading {
  readonly timeNano: bigint;
  readonly usage: ProcessUsage;
  readonly machineNano: bigint;
}

type Of = StatsRoutesOptions & { readonly container: EmbeddedContainer };

async function stats(request: HttpRequest, of: Of): Promise<HttpReply> {
  const { query, signal } = request;
  if (query.has("stream") && !booleanParameter(query, "stream")) {
    const before = booleanParameter(query, "one-shot") ? undefined : await read(of);
    if (before !== undefined) await abortableDelay(INTERVAL_MS, { clock: of.clock, abort: signal });
    return jsonReply(200, statsView(of.container, { before, now: await read(of) }));
  }
  return {
    kind: "stream",
    status: 200,
    contentType: "application/json",
    produce: async (write) => {
      let before: Reading | undefined;
      while (!signal.aborted && of.store.has(of.container)) {
        const now = await read(of);
        await write(
          new TextEncoder().encode(JSON.stringify(statsView(of.container, { before, now })) + "\n"),
        );
        before = now;
        await abortableDelay(INTERVAL_MS, { clock: of.clock, abort: signal });
      }
    },
  };
}

/** Undefined for a container that does not run. */
async function read({ container, time }: Of): Promise<Reading | undefined> {
  const { pid } = container.state;
  if (pid === 0) return undefined;
  const sessions = new Set([pid, ...container.execs.running.map((exec) => exec.pid)]);
  sessions.delete(0);
  return { usage: await usageOf(sessions), machineNano: await machineNano(), timeNano: time.next() };
}

/** What is not known (network, disks) is left out, as it is on Docker for a container without a network. */
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
      // Resident memory of processes has no page cache in it, which clients would subtract.
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
