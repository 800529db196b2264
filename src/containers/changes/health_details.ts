import type { ContainerInspect } from "../../engine/engine_types.ts";
import { parseEngineTime } from "../../engine/events/engine_time.ts";
import { cutUtf8 } from "../../platform/cut_utf8.ts";
import type { HealthStatus } from "../../protocol/wire_event.ts";
import { dateOfNano } from "../container_registry.ts";
import { healthStatus } from "./engine_dialect.ts";

/** What led to a container's health. */
export interface HealthDetails {
  /** Checks that failed, one after the other, up to now. */
  readonly failingStreak?: number;
  readonly lastCheckExitCode?: number;
  /** At most 4 KiB as UTF-8. */
  readonly lastCheckOutput?: string;
  /** Its end. */
  readonly lastCheckTime?: Date;
}

/** Of a check's output; what is more belongs into a log. */
export const MAX_OUTPUT_BYTES = 4_096;

/** What the engine says about a status; nothing when the container has another one by now. */
export function healthDetailsOf(inspect: ContainerInspect, status: HealthStatus): HealthDetails | undefined {
  const health = inspect.State.Health;
  if (health === undefined || health === null || healthStatus(health.Status) !== status) return undefined;
  const last = health.Log?.at(-1);
  const endNano = last === undefined ? undefined : parseEngineTime(last.End);
  return {
    failingStreak: health.FailingStreak,
    ...(last !== undefined && {
      lastCheckExitCode: last.ExitCode,
      lastCheckOutput: cutUtf8(last.Output, MAX_OUTPUT_BYTES),
    }),
    ...(endNano !== undefined && { lastCheckTime: dateOfNano(endNano) }),
  };
}
