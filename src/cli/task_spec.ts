/** From the flags of `apex run` to the task that the daemon is asked for. */
import { ApexError } from "../platform/apex_error.ts";
import { parseByteSize } from "../platform/byte_size.ts";
import { parseDuration } from "../platform/durations.ts";
import type { TaskSpecRequest } from "../protocol/control.ts";
import type { CliContext } from "./cli_context.ts";
import { environment, mount, positive } from "./container_flags.ts";

/** The flags, as they were written. */
export interface TaskFlags {
  readonly task?: string | undefined;
  readonly image?: string | undefined;
  readonly network?: string | undefined;
  /** Each `KEY=VALUE`, or `KEY` alone for what it is here. */
  readonly env?: readonly string[] | undefined;
  /** Each `SOURCE:TARGET` or `SOURCE:TARGET:ro`. */
  readonly volume?: readonly string[] | undefined;
  readonly workdir?: string | undefined;
  readonly user?: string | undefined;
  readonly entrypoint?: string | undefined;
  readonly cpus?: string | undefined;
  readonly memory?: string | undefined;
  readonly pids?: string | undefined;
  readonly timeout?: string | undefined;
  /** The current directory is to be its `/workspace`. */
  readonly mount?: true | undefined;
  readonly keep?: true | undefined;
  readonly keepOnFailure?: true | undefined;
}

/** @throws {ApexError} `usage`, naming the flag and what stands behind it. */
export function taskSpecOf(
  flags: TaskFlags,
  { command, context }: { readonly command: readonly string[]; readonly context: CliContext },
): TaskSpecRequest {
  const { task, image, network, workdir, user, entrypoint, keep, keepOnFailure } = flags;
  return {
    ...(task !== undefined && { taskId: task }),
    ...(image !== undefined && { image }),
    ...(command.length > 0 && { cmd: [...command] }),
    ...(entrypoint !== undefined && { entrypoint: [entrypoint] }),
    ...(flags.env !== undefined && { env: environment(flags.env, context) }),
    ...(flags.volume !== undefined && { mounts: flags.volume.map((text) => mount(text, context)) }),
    ...(workdir !== undefined && { workdir }),
    ...(user !== undefined && { user }),
    ...(network !== undefined && { network }),
    ...(flags.cpus !== undefined && { cpus: positive("--cpus", flags.cpus, decimal) }),
    ...(flags.memory !== undefined && { memoryBytes: positive("--memory", flags.memory, parseByteSize) }),
    ...(flags.pids !== undefined && { pidsLimit: positive("--pids", flags.pids, wholeNumber) }),
    ...(flags.timeout !== undefined && { timeoutMs: positive("--timeout", flags.timeout, parseDuration) }),
    ...(flags.mount && { projectDir: context.cwd }),
    ...(keep && { keep }),
    ...(keepOnFailure && { keepOnFailure }),
  };
}

function decimal(text: string): number {
  if (/^\d+(\.\d+)?$|^\.\d+$/.test(text)) return Number(text);
  throw new ApexError("usage", `${JSON.stringify(text)} is no number (try: 2 or 0.5)`);
}

function wholeNumber(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new ApexError("usage", `${JSON.stringify(text)} is no whole number`);
}
