import type { EngineClient } from "./engine_client.ts";
import type { ContainerStatsReply, CpuReading } from "./engine_types.ts";

/** What a container uses now. What its engine does not tell, or what it has no limit of, is absent. */
export interface ContainerStats {
  /** Without the page cache that the kernel would give up first, as Docker's own tools count. */
  readonly memoryBytes?: number;
  /** Of the machine when none was set. */
  readonly memoryLimitBytes?: number;
  readonly pids?: number;
  readonly pidsLimit?: number;
  /** 100 is one processor; known only where the engine made two readings. */
  readonly cpuPercent?: number;
}

/**
 * Asks once what a container uses; it need not run.
 * @throws {EngineError} `not_found` when it is gone
 */
export async function askContainerStats(
  client: EngineClient,
  id: string,
  abort?: AbortSignal,
): Promise<ContainerStats> {
  // `one-shot` spares the second reading, for which the engine would take a second; API 1.40 does not know it.
  const query = { "stream": false, "one-shot": true };
  const path = `/containers/${encodeURIComponent(id)}/stats`;
  // Podman's reply about a container that does not run is empty.
  const isRight = (reply: unknown) => reply === undefined || (typeof reply === "object" && reply !== null);
  const request = { query, isRight, abort };
  return readStats(await client.requestJson<ContainerStatsReply | undefined>("GET", path, request) ?? {});
}

/** The engine's numbers in apex's words. */
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

/** No limit is 0, or so much that no number holds it exactly. */
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
