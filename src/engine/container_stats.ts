import type { EngineClient } from "./engine_client.ts";
import type { ContainerStatsReply, CpuReading } from "./engine_types.ts";

/**
 * A container's current resource usage. A field is absent when the engine does not report it, or when no limit is set.
 */
export interface ContainerStats {
  /** Without the page cache that the kernel would reclaim first, as `docker stats` counts. */
  readonly memoryBytes?: number;
  /** The machine's memory when the container has no limit. */
  readonly memoryLimitBytes?: number;
  readonly pids?: number;
  readonly pidsLimit?: number;
  /** 100 is one processor; present only when the engine took two readings. */
  readonly cpuPercent?: number;
}

/**
 * Reads the usage once; the container need not be running.
 * @throws {EngineError} `not_found` when the container does not exist
 */
export async function askContainerStats(
  client: EngineClient,
  id: string,
  abort?: AbortSignal,
): Promise<ContainerStats> {
  // `one-shot` skips the second reading, which takes the engine a second. API 1.40 ignores it.
  const query = { "stream": false, "one-shot": true };
  const path = `/containers/${encodeURIComponent(id)}/stats`;
  // Podman's reply for a container that is not running is empty.
  const isRight = (reply: unknown) => reply === undefined || (typeof reply === "object" && reply !== null);
  const request = { query, isRight, abort };
  return readStats(await client.requestJson<ContainerStatsReply | undefined>("GET", path, request) ?? {});
}

/** Converts the engine's numbers. */
export function readStats(reply: ContainerStatsReply): ContainerStats {
  const { memory_stats: memory, pids_stats: pids } = reply;
  const cache = memory?.stats?.inactive_file ?? memory?.stats?.total_inactive_file ?? 0;
  const usage = memory?.usage;
  const memoryBytes = usage === undefined || cache > usage ? usage : usage - cache;
  const memoryLimitBytes = limitOf(memory?.limit);
  const pidsLimit = limitOf(pids?.limit);
  const cpuPercent = cpuPercentOf(reply.cpu_stats, reply.precpu_stats);
  return {
    ...(memoryBytes !== undefined && { memoryBytes }),
    ...(memoryLimitBytes !== undefined && { memoryLimitBytes }),
    ...(pids?.current !== undefined && { pids: pids.current }),
    ...(pidsLimit !== undefined && { pidsLimit }),
    ...(cpuPercent !== undefined && { cpuPercent }),
  };
}

/** The engines report no limit as 0, or as a number too large to be exact. */
function limitOf(limit: number | undefined): number | undefined {
  return limit !== undefined && limit > 0 && Number.isSafeInteger(limit) ? limit : undefined;
}

function cpuPercentOf(now: CpuReading | undefined, before: CpuReading | undefined): number | undefined {
  const [usedNow, usedBefore] = [now?.cpu_usage?.total_usage, before?.cpu_usage?.total_usage];
  const [systemNow, systemBefore] = [now?.system_cpu_usage, before?.system_cpu_usage];
  if (usedNow === undefined || usedBefore === undefined) return undefined;
  if (systemNow === undefined || systemBefore === undefined || systemBefore === 0) return undefined;
  const elapsed = systemNow - systemBefore;
  if (elapsed <= 0) return undefined;
  return Math.max(0, (usedNow - usedBefore) / elapsed) * (now?.online_cpus ?? 1) * 100;
}
