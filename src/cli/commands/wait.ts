import { openStream } from "../../client/control_stream.ts";
import { type WaitEnd, waitEndOf } from "../../client/frame_payloads.ts";
import { ApexError, EXIT_STATUS, messageOf } from "../../platform/apex_error.ts";
import { runAt, systemClock } from "../../platform/clock.ts";
import type { SocketPaths } from "../../platform/directories.ts";
import { parseDuration } from "../../platform/durations.ts";
import type { ControlResultOf } from "../../protocol/control.ts";
import type { WaitCondition } from "../../protocol/wait_condition.ts";
import { positive } from "../args/container_flags.ts";
import type { CliContext } from "../cli_context.ts";
import { type Opening, resumedFrames } from "../connection/resumed_frames.ts";
import { StatusError, toStatusError } from "../output/status_error.ts";
import { printable } from "../output/table.ts";
import { exitStatusOf, explainEnd } from "../output/task_end.ts";

export interface WaitFlags {
  /** `exit` by default. */
  readonly for?: WaitCondition | undefined;
  /** Until the first target is ready; else all of them have to be. */
  readonly any?: true | undefined;
  /** As it was written: `10m`. */
  readonly timeout?: string | undefined;
}

export interface WaitOptions {
  readonly sockets: SocketPaths;
  readonly targets: readonly string[];
  readonly flags: WaitFlags;
}

/** A target that is as it was to be. */
interface Ready {
  readonly target: string;
  /** Of its last run where that was waited for, else 0. */
  readonly exitStatus: number;
}

/** What the condition is called of a target: `cannot wait for web to be healthy`. */
const PHRASES: Record<WaitCondition, string> = {
  exit: "to end",
  running: "to run",
  healthy: "to be healthy",
  unhealthy: "to be unhealthy",
  removed: "to be removed",
};

/**
 * `apex wait`: returns when tasks or containers have ended, or are as `--for` says; at once if they are. With several targets
 * it prints a line `TARGET STATUS` for each that is ready: its exit status, or what was waited for.
 *
 * @returns of one target, or of the first with `any`: its exit status; of several, the first in their order that is not 0
 * @throws {StatusError} 124 when the time is over, 125 for apex's own failures, 130 on Ctrl-C while there is no daemon
 */
export async function wait(context: CliContext, { sockets, targets, flags }: WaitOptions): Promise<number> {
  const abort = new AbortController();
  let cancelLimit: (() => void) | undefined;
  try {
    cancelLimit = startLimit(flags.timeout, { targets, abort });
    const distinct = [...new Set(targets)];
    const waits = new TargetWaits({
      context,
      sockets,
      targets: distinct,
      flags,
      abort,
    });
    return flags.any ? await waits.any() : await waits.all();
  } catch (error) {
    if (error === abort.signal.reason && error instanceof ApexError && error.code === "timeout") {
      throw new StatusError(EXIT_STATUS.timeout, error);
    }
    throw toStatusError(error, "what was waited for continues");
  } finally {
    cancelLimit?.();
    abort.abort(new ApexError("interrupted", "the wait is over"));
  }
}

interface TargetWaitsOptions extends Omit<WaitOptions, "targets"> {
  readonly context: CliContext;
  readonly targets: readonly string[];
  readonly abort: AbortController;
}

class TargetWaits {
  readonly #options: TargetWaitsOptions;
  #lastTold: string | undefined;

  constructor(options: TargetWaitsOptions) {
    this.#options = options;
  }

  /** One that cannot get ready any more ends it. */
  async all(): Promise<number> {
    const ready = await Promise.all(this.#options.targets.map((target) => this.#wait(target)));
    return ready.find(({ exitStatus }) => exitStatus !== 0)?.exitStatus ?? 0;
  }

  /** One that cannot get ready any more is reported, and the others are still waited for. */
  async any(): Promise<number> {
    const { targets, context: { stderr }, abort: { signal } } = this.#options;
    const waits = targets.map((target) => this.#wait(target));
    const reported = waits.map(async (wait) => {
      try {
        return await wait;
      } catch (error) {
        if (targets.length > 1 && !signal.aborted) await stderr.print(`apex: ${messageOf(error)}`);
        throw error;
      }
    });
    try {
      return (await Promise.any(reported)).exitStatus;
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof AggregateError)) throw error;
      if (targets.length === 1) throw error.errors[0];
      throw new ApexError("failed", `none of the ${targets.length} targets can get ready any more`);
    }
  }

  async #wait(target: string): Promise<Ready> {
    const { context: { stdout, stderr }, flags: { for: condition = "exit" }, targets } = this.#options;
    const { task, exitCode, error } = await this.#endOf(target);
    if (error !== undefined) {
      throw new ApexError("failed", `cannot wait for ${printable(target)} ${PHRASES[condition]}: ${error}`);
    }
    const why = task && explainEnd(task);
    if (why !== undefined) await stderr.print(`apex: ${why}`);
    const exitStatus = task ? exitStatusOf(task) : exitCode ?? 0;
    if (targets.length > 1) {
      await stdout.print(`${printable(target)} ${condition === "exit" ? exitStatus : condition}`);
    }
    return { target, exitStatus };
  }

  /** The daemon goes away from all waits at once. */
  async #tell(text: string): Promise<void> {
    if (text === this.#lastTold) return;
    this.#lastTold = text;
    await this.#options.context.stderr.print(`apex: ${text}`);
  }

  async #endOf(target: string): Promise<WaitEnd> {
    const { context, sockets, flags: { for: condition = "exit" }, abort } = this.#options;
    let found: ControlResultOf<"containers.wait"> | undefined;
    const open = async ({ lostAtMs }: Opening) => {
      if (lostAtMs !== undefined) await context.checkDaemon(sockets);
      // A name may be another container's by now.
      const run = found?.target?.includes("@") ? found.target : undefined;
      const params = {
        target: run ?? found?.containerId ?? found?.target ?? target,
        ...(condition !== "exit" && { for: condition }),
      };
      const { controlSocket } = sockets;
      const stream = await openStream(controlSocket, "containers.wait", params, { signal: abort.signal });
      found ??= stream.result;
      return stream;
    };
    const what = this.#options.targets.map(printable).join(", ");
    const frames = resumedFrames({
      context,
      open,
      standing: () => `${what} may continue`,
      remedy: () => `see: apex wait ${what.replaceAll(", ", " ")}`,
      tell: (text) => this.#tell(text),
      abort,
    });
    try {
      for await (const frame of frames) if (frame.kind === "exit") return waitEndOf(frame);
    } catch (error) {
      const isGone = error instanceof ApexError && error.code === "not_found" && found !== undefined;
      if (isGone && condition === "removed") return {};
      throw error;
    }
    throw new TypeError("The frames of a wait ended without its end");
  }
}

function startLimit(
  timeout: string | undefined,
  { targets, abort }: { readonly targets: readonly string[]; readonly abort: AbortController },
): (() => void) | undefined {
  if (timeout === undefined) return undefined;
  const limitMs = positive("--timeout", timeout, parseDuration);
  const what = targets.map(printable).join(", ");
  const late = new ApexError("timeout", `the wait for ${what} was not over within ${timeout} (--timeout)`);
  return runAt(systemClock.now() + limitMs, { clock: systemClock, callback: () => abort.abort(late) });
}
