import { openStream } from "../../client/control_stream.ts";
import { waitEndOf } from "../../client/frame_payloads.ts";
import { ApexError, EXIT_STATUS, messageOf } from "../../platform/apex_error.ts";
import { runAt, systemClock } from "../../platform/clock.ts";
import { parseDuration } from "../../platform/durations.ts";
import type { WaitCondition, WaitEnd } from "../../protocol/container_operations.ts";
import type { ControlResultOf } from "../../protocol/operations.ts";
import { positive } from "../args/flag_values.ts";
import type { CliContext, VerbOptions } from "../cli_context.ts";
import { type Opening, resumedFrames } from "../connection/reconnect.ts";
import { namingTarget } from "../connection/targets.ts";
import { exitStatusOf, explainEnd, StatusError, toStatusError } from "../output/exit_status.ts";
import { printable } from "../output/table.ts";

export interface WaitFlags {
  /** `exit` by default. */
  readonly for?: WaitCondition | undefined;
  /** Wait until one target meets the condition, instead of all. */
  readonly any?: true | undefined;
  /** As written: `10m`. */
  readonly timeout?: string | undefined;
}

export interface WaitOptions extends VerbOptions {
  readonly targets: readonly string[];
  readonly flags: WaitFlags;
}

/** The conditions in error messages: `cannot wait for web to be healthy`. */
const PHRASES: Record<WaitCondition, string> = {
  exit: "to end",
  running: "to run",
  healthy: "to be healthy",
  unhealthy: "to be unhealthy",
  removed: "to be removed",
};

/**
 * `apex wait`: returns when tasks or containers have ended, or meet another condition. With several targets it prints a line
 * `TARGET STATUS` for each: its exit status, or the condition.
 *
 * @returns the exit status of the target, or of the first one with `any`; of several, the first in their order that is not 0
 * @throws {StatusError} 124 on a timeout, 125 for failures of apex itself, 130 on Ctrl-C while no daemon is connected
 */
export async function wait(context: CliContext, { sockets, targets, flags }: WaitOptions): Promise<number> {
  const abort = new AbortController();
  let cancelLimit: (() => void) | undefined;
  try {
    cancelLimit = startLimit(flags.timeout, { targets, abort });
    let lastNotice: string | undefined;
    // All waits lose the daemon at the same time: one notice is enough.
    const notify = async (text: string) => {
      if (text !== lastNotice) await context.stderr.print(`apex: ${lastNotice = text}`);
    };
    const waiting = { context, sockets, targets: [...new Set(targets)], flags, abort, notify };
    return await (flags.any ? waitForAny(waiting) : waitForAll(waiting));
  } catch (error) {
    if (error === abort.signal.reason && error instanceof ApexError && error.code === "timeout") {
      throw new StatusError(EXIT_STATUS.timeout, error);
    }
    throw toStatusError(error, "the targets continue");
  } finally {
    cancelLimit?.();
    abort.abort(new ApexError("interrupted", "the wait is over"));
  }
}

interface Waiting extends WaitOptions {
  readonly context: CliContext;
  readonly abort: AbortController;
  /** Prints a notice on stderr. */
  readonly notify: (text: string) => Promise<void>;
}

/** Waits for all targets. Fails when one can no longer meet the condition. */
async function waitForAll(waiting: Waiting): Promise<number> {
  const statuses = await Promise.all(waiting.targets.map((target) => waitFor(target, waiting)));
  return statuses.find((status) => status !== 0) ?? 0;
}

/** Waits for one target. Those that can no longer meet the condition are reported. */
async function waitForAny(waiting: Waiting): Promise<number> {
  const { targets, context: { stderr }, abort: { signal } } = waiting;
  const waits = targets.map(async (target) => {
    try {
      return await waitFor(target, waiting);
    } catch (error) {
      if (targets.length > 1 && !signal.aborted) await stderr.print(`apex: ${messageOf(error)}`);
      throw error;
    }
  });
  try {
    return await Promise.any(waits);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof AggregateError)) throw error;
    if (targets.length === 1) throw error.errors[0];
    throw new ApexError("failed", `none of the ${targets.length} targets can meet the condition any longer`);
  }
}

/** @returns the exit status of the target's last run, or 0 for another condition */
async function waitFor(target: string, waiting: Waiting): Promise<number> {
  const { context: { stdout, stderr }, flags: { for: condition = "exit" }, targets } = waiting;
  const { task, exitCode, error } = await endOf(target, waiting);
  if (error !== undefined) {
    throw new ApexError("failed", `cannot wait for ${printable(target)} ${PHRASES[condition]}: ${error}`);
  }
  const why = task && explainEnd(task);
  if (why !== undefined) await stderr.print(`apex: ${why}`);
  const exitStatus = task ? exitStatusOf(task) : exitCode ?? 0;
  if (targets.length > 1) {
    await stdout.print(`${printable(target)} ${condition === "exit" ? exitStatus : condition}`);
  }
  return exitStatus;
}

async function endOf(target: string, waiting: Waiting): Promise<WaitEnd> {
  const { context, sockets, targets, flags: { for: condition = "exit" }, notify, abort } = waiting;
  let found: ControlResultOf<"containers.wait"> | undefined;
  const open = async ({ lostAtMs }: Opening) => {
    if (lostAtMs !== undefined) await context.checkDaemon(sockets);
    // By now the name may belong to another container.
    const run = found?.target.includes("@") ? found.target : undefined;
    const params = {
      target: run ?? found?.containerId ?? found?.target ?? target,
      ...(condition !== "exit" && { for: condition }),
    };
    const options = { abort: abort.signal };
    const stream = await openStream(sockets.controlSocket, "containers.wait", params, options);
    found ??= stream.result;
    return stream;
  };
  const names = targets.map(printable);
  const frames = resumedFrames({
    context,
    open,
    standing: () => `${names.join(", ")} may continue`,
    remedy: () => `see: apex wait ${names.join(" ")}`,
    notify,
    abort,
  });
  try {
    for await (const frame of frames) if (frame.kind === "exit") return waitEndOf(frame);
  } catch (error) {
    const isRemoved = error instanceof ApexError && error.code === "not_found" && found !== undefined;
    if (isRemoved && condition === "removed") return {};
    throw namingTarget("cannot wait for", { target, error });
  }
  throw new TypeError("The frames of a wait ended without an exit frame");
}

function startLimit(
  timeout: string | undefined,
  { targets, abort }: { readonly targets: readonly string[]; readonly abort: AbortController },
): (() => void) | undefined {
  if (timeout === undefined) return undefined;
  const limitMs = positive("--timeout", timeout, parseDuration);
  const names = targets.map(printable).join(", ");
  const late = new ApexError("timeout", `timed out after ${timeout} while waiting for ${names} (--timeout)`);
  return runAt(systemClock.now() + limitMs, { clock: systemClock, callback: () => abort.abort(late) });
}
