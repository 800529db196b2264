import { ApexError } from "../../platform/apex_error.ts";
import type { GpuRequest } from "./container_spec.ts";

/** The engine means all of them. */
const ALL = -1;

/**
 * GPUs, as one of `HostConfig.DeviceRequests`.
 * @throws {ApexError} `usage` for a number below 1, and for no device at all
 */
export function deviceRequest(gpus: GpuRequest): Record<string, unknown> {
  const request = { Driver: "", Capabilities: [["gpu"]], Options: {} };
  if (typeof gpus === "object") {
    if (gpus.length === 0) throw new ApexError("usage", "no GPU is named: name one, or use a number or all");
    return { ...request, Count: 0, DeviceIDs: gpus };
  }
  if (gpus !== "all" && !(Number.isSafeInteger(gpus) && gpus >= 1)) {
    throw new ApexError("usage", `invalid number of GPUs ${gpus}: use 1 or more, or all`);
  }
  return { ...request, Count: gpus === "all" ? ALL : gpus };
}
