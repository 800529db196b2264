import { ApexError } from "../../platform/apex_error.ts";
import { parseByteSize } from "../../platform/byte_size.ts";
import { definedFields } from "../../platform/defined_fields.ts";
import { parseDuration } from "../../platform/durations.ts";
import type { TaskSpecRequest } from "../../protocol/task_operations.ts";
import type { CliContext } from "../cli_context.ts";
import { type ContainerFlags, containerRequestOf, environmentOf } from "./container_flags.ts";
import { decimal, positive, type SwitchFlags, type TextFlags, wholeNumber } from "./flag_values.ts";

/** The flags of `apex run`, as written on the command line. */
export interface TaskFlags
  extends
    ContainerFlags,
    TextFlags<"task" | "entrypoint" | "cpus" | "memory" | "pids" | "timeout">,
    SwitchFlags<"keep" | "keepOnFailure"> {
  /** `all`, a number, or `device=ID[,ID…]`. */
  readonly gpus?: string | undefined;
  readonly pull?: "missing" | "always" | "never" | undefined;
  /** The default; accepted for the habits of Docker's users. */
  readonly rm?: true | undefined;
  /** Pass standard input to the command. */
  readonly interactive?: true | undefined;
  /** Always refused, with a pointer to `apex attach`. */
  readonly tty?: true | undefined;
  /** Start the task, print its id, and exit. */
  readonly detach?: true | undefined;
}

/**
 * The task that the flags of `apex run` request from the daemon.
 *
 * @throws {ApexError} `usage`, naming the flag and its value
 */
export function taskSpecOf(
  flags: TaskFlags,
  { command, context }: { readonly command: readonly string[]; readonly context: CliContext },
): TaskSpecRequest {
  checkCombination(flags, command);
  const { task: taskId, entrypoint, pull, keep, keepOnFailure } = flags;
  const value = (name: "cpus" | "memory" | "pids" | "timeout", parse: (text: string) => number) => {
    const text = flags[name];
    return text === undefined ? undefined : positive(`--${name}`, text, parse);
  };
  const hasEnvironment = (flags.env ?? flags.envFile) !== undefined;
  return {
    ...containerRequestOf(flags, context),
    ...definedFields({
      taskId,
      cmd: command.length > 0 ? [...command] : undefined,
      entrypoint: entrypoint === undefined ? undefined : [entrypoint],
      env: hasEnvironment ? environmentOf(flags, context) : undefined,
      gpus: flags.gpus === undefined ? undefined : gpusOf(flags.gpus),
      pull,
      stdin: flags.interactive,
      cpus: value("cpus", decimal),
      memoryBytes: value("memory", parseByteSize),
      pidsLimit: value("pids", wholeNumber),
      timeoutMs: value("timeout", parseDuration),
      keep,
      keepOnFailure,
    }),
  };
}

function checkCombination(
  { tty, rm, keep, interactive, detach }: TaskFlags,
  command: readonly string[],
): void {
  if (tty) {
    const words = command.length > 0 ? ` -- ${command.join(" ")}` : "";
    throw new ApexError(
      "usage",
      `-t: apex run does not provide a terminal; use apex attach instead: apex attach NAME${words}`,
    );
  }
  if (rm && keep) throw new ApexError("usage", "--rm and --keep cannot be combined (--rm is the default)");
  if (interactive && detach) {
    throw new ApexError(
      "usage",
      "-i and -d cannot be combined: no client would remain to pass standard input on",
    );
  }
}

function gpusOf(text: string): NonNullable<TaskSpecRequest["gpus"]> {
  // Docker requires quotes around a list, inside those of the shell.
  const [, devices] = /^device=([^=]+)$/.exec(text.replace(/^"(.*)"$/, "$1")) ?? [];
  if (devices !== undefined && !devices.split(",").includes("")) return devices.split(",");
  if (text === "all") return "all";
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw new ApexError("usage", `--gpus: ${JSON.stringify(text)} must be all, a number, or device=ID[,ID…]`);
}
