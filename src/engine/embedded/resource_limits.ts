/** What of a machine a container may take, checked as Docker checks it; a process without a cgroup cannot be held to it. */
import * as v from "valibot";
import { integer, strings } from "./body_schema.ts";
import { HttpError } from "./http_error.ts";

/** The fields of `HostConfig` that are about limits and capabilities. */
export const limitFields = {
  Memory: integer,
  MemorySwap: integer,
  NanoCpus: integer,
  CpuPeriod: integer,
  CpuQuota: integer,
  PidsLimit: integer,
  CapAdd: strings,
  CapDrop: strings,
};

const limitSchema = v.object(limitFields);
export type LimitsBody = v.InferOutput<typeof limitSchema>;

/** Each is 0 where there is no limit. */
export interface ResourceLimits {
  readonly memoryBytes: number;
  /** Thousand millions are one processor. */
  readonly nanoCpus: number;
  /** Negative is no limit too. */
  readonly pids: number;
  readonly capAdd: readonly string[];
  readonly capDrop: readonly string[];
}

const MIN_MEMORY_BYTES = 6 * 1024 * 1024;
const NANO_CPUS = 1_000_000_000;

/** @throws {HttpError} 400 with Docker's words */
export function parseLimits(host: LimitsBody): ResourceLimits {
  const memory = host.Memory ?? 0;
  const swap = host.MemorySwap ?? 0;
  const nanoCpus = host.NanoCpus ?? 0;
  if (memory !== 0 && memory < MIN_MEMORY_BYTES) {
    throw new HttpError(400, "Minimum memory limit allowed is 6MB");
  }
  if (memory === 0 && swap > 0) {
    throw new HttpError(400, "You should always set the Memory limit when using Memoryswap limit, see usage");
  }
  if (memory > 0 && swap > 0 && swap < memory) {
    throw new HttpError(400, "Minimum memoryswap limit should be larger than memory limit, see usage");
  }
  const processors = navigator.hardwareConcurrency;
  if (nanoCpus < 0 || nanoCpus > processors * NANO_CPUS) {
    throw new HttpError(
      400,
      `Range of CPUs is from 0.01 to ${processors}.00, as there are only ${processors} CPUs available`,
    );
  }
  checkQuota(host);
  return {
    memoryBytes: memory,
    nanoCpus,
    pids: host.PidsLimit ?? 0,
    capAdd: parseCapabilities("CapAdd", host.CapAdd),
    capDrop: parseCapabilities("CapDrop", host.CapDrop),
  };
}

/** What was asked for and is not held to, in words. */
export function unenforcedLimits(limits: ResourceLimits): string[] {
  const asked = [
    limits.memoryBytes > 0 && `memory limit (${limits.memoryBytes} bytes)`,
    limits.nanoCpus > 0 && `CPU limit (${limits.nanoCpus / NANO_CPUS})`,
    limits.pids > 0 && `limit of processes (${limits.pids})`,
    limits.capAdd.length + limits.capDrop.length > 0 && "change of capabilities",
  ];
  return asked.filter((what) => what !== false)
    .map((what) => `the embedded engine isolates nothing: the ${what} is not enforced`);
}

function checkQuota({ CpuPeriod: period, CpuQuota: quota }: LimitsBody): void {
  if (period && (period < 1_000 || period > 1_000_000)) {
    throw new HttpError(
      400,
      "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
    );
  }
  if (quota && quota > 0 && quota < 1_000) {
    throw new HttpError(400, "CPU cfs quota can not be less than 1ms (i.e. 1000)");
  }
}

/** In Docker's own spelling: `net_admin` is `CAP_NET_ADMIN`. */
function parseCapabilities(field: string, names: readonly string[] | null | undefined): readonly string[] {
  return (names ?? []).map((name) => {
    const upper = name.toUpperCase();
    if (upper === "ALL") return upper;
    const full = upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
    if (!CAPABILITIES.has(full.slice("CAP_".length))) {
      throw new HttpError(400, `invalid ${field}: unknown capability: ${JSON.stringify(full)}`);
    }
    return full;
  });
}

// deno-fmt-ignore
const CAPABILITIES = new Set([
  "AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "CHOWN", "DAC_OVERRIDE",
  "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE", "LINUX_IMMUTABLE", "MAC_ADMIN",
  "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_RAW", "PERFMON", "SETFCAP",
  "SETGID", "SETPCAP", "SETUID", "SYSLOG", "SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT", "SYS_MODULE", "SYS_NICE",
  "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "WAKE_ALARM",
]);
