/** `apex detach` and `apex kill`: the same to each of some sessions. */
import { request } from "../../client/control_exchange.ts";
import { ApexError, EXIT_STATUS } from "../../platform/apex_error.ts";
import { notifyIfSlow } from "../../platform/async/wait.ts";
import type { SocketPaths } from "../../platform/directories.ts";
import type { SessionNamesResult } from "../../protocol/session_messages.ts";
import type { CliContext } from "../cli_context.ts";

export interface NamedSessionsOptions {
  readonly sockets: SocketPaths;
  /** None: the session in which this runs. */
  readonly names: readonly string[];
}

/** Set in every session. */
const SESSION_NAME_VARIABLE = "APEX_SESSION_NAME";
/** Some may take their whole grace to end. */
const KILL_TIMEOUT_MS = 600_000;
const KILL_IS_LONG_AFTER_MS = 2_000;

/** `apex detach`: lets their clients go; the sessions live on. @returns the exit status */
export async function detach(context: CliContext, options: NamedSessionsOptions): Promise<number> {
  const names = namesOf(context, options);
  const result = await request(options.sockets.controlSocket, "sessions.detach", { names });
  return await tellFailures(result, { context, failure: "cannot detach session" });
}

/** `apex kill`: ends them. @returns the exit status */
export async function kill(context: CliContext, options: NamedSessionsOptions): Promise<number> {
  const names = namesOf(context, options);
  const { controlSocket } = options.sockets;
  const killing = request(controlSocket, "sessions.kill", { names }, { timeoutMs: KILL_TIMEOUT_MS });
  // A shell that somebody could type into heeds no SIGTERM: whoever waits out its grace wants to know why.
  const result = await notifyIfSlow(killing, {
    afterMs: KILL_IS_LONG_AFTER_MS,
    notify: () =>
      context.stderr.print(
        "apex: waiting for the end; what does not heed SIGTERM is killed after its grace (kill_grace)",
      ),
  });
  return await tellFailures(result, { context, failure: "cannot kill session" });
}

function namesOf({ env }: CliContext, { names }: NamedSessionsOptions): string[] {
  if (names.length > 0) return [...names];
  const own = env(SESSION_NAME_VARIABLE);
  if (own) return [own];
  throw new ApexError("usage", `which session? Name one (see: apex list), or set ${SESSION_NAME_VARIABLE}`);
}

async function tellFailures(
  { failed }: SessionNamesResult,
  { context: { stderr }, failure }: { readonly context: CliContext; readonly failure: string },
): Promise<number> {
  for (const { name, message } of failed) {
    const quoted = JSON.stringify(name);
    // Most say of themselves what they are about; what the engine says does not.
    await stderr.print(`apex: ${message.includes(quoted) ? message : `${failure} ${quoted}: ${message}`}`);
  }
  if (failed.length === 0) return 0;
  const isUnknown = failed.some(({ code }) => code === "not_found");
  return isUnknown ? EXIT_STATUS.not_found : EXIT_STATUS[failed[0]!.code as keyof typeof EXIT_STATUS] ?? 1;
}
