/** `apex list`, `apex detach` and `apex kill`. */
import { green } from "@std/fmt/colors";
import { request } from "../../client/control_exchange.ts";
import { ApexError, EXIT_STATUS } from "../../platform/apex_error.ts";
import { notifyIfSlow } from "../../platform/async/wait.ts";
import { formatDuration } from "../../platform/durations.ts";
import type { SessionNamesResult, SessionResult } from "../../protocol/session_operations.ts";
import type { CliContext, VerbOptions } from "../cli_context.ts";
import { failureText } from "../connection/targets.ts";
import { formatTable, printable } from "../output/table.ts";

/** `apex list`: prints the sessions, oldest first. */
export async function list({ stdout, now }: CliContext, { sockets, json }: VerbOptions): Promise<void> {
  const { sessions } = await request(sockets.controlSocket, "sessions.list", {});
  const oldestFirst = sessions.toSorted((a, b) => Date.parse(a.createdAt) - Date.parse(b.createdAt));
  if (json) return await stdout.print(JSON.stringify(oldestFirst, null, 2));
  const rows = oldestFirst.map((session) => row(session, { nowMs: now(), colors: stdout.colors }));
  await stdout.print(formatTable([HEADINGS, ...rows]).join("\n"));
}

const HEADINGS = ["NAME", "STATUS", "IMAGE", "AGE", "LAST ATTACHED", "ENDS IN"];

function row(
  { name, status, image, createdAt, lastAttachedAt, attachedPid, expiresAt }: SessionResult,
  { nowMs, colors }: { readonly nowMs: number; readonly colors: boolean },
): string[] {
  const paint = colors && status === "attached" ? green : (text: string) => text;
  return [
    printable(name),
    paint(attachedPid === undefined ? status : `${status} (pid ${attachedPid})`),
    printable(image),
    formatDuration(nowMs - Date.parse(createdAt)),
    lastAttachedAt === undefined ? "-" : `${formatDuration(nowMs - Date.parse(lastAttachedAt))} ago`,
    expiresAt === undefined ? "-" : formatDuration(Date.parse(expiresAt) - nowMs),
  ];
}

export interface NamedSessionsOptions extends VerbOptions {
  /** Empty: the session in which this process runs. */
  readonly names: readonly string[];
}

/** Set in every session. */
const SESSION_NAME_VARIABLE = "APEX_SESSION_NAME";
/** A session may need the whole `kill_grace`, which may be long. */
const KILL_TIMEOUT_MS = 600_000;
const KILL_IS_LONG_AFTER_MS = 2_000;

/** `apex detach`: detaches the clients of sessions, which continue. @returns the exit status */
export async function detach(context: CliContext, options: NamedSessionsOptions): Promise<number> {
  const names = namesOf(context, options);
  const result = await request(options.sockets.controlSocket, "sessions.detach", { names });
  return await reportFailures(result, { context, failure: "cannot detach session" });
}

/** `apex kill`: ends sessions. @returns the exit status */
export async function kill(context: CliContext, options: NamedSessionsOptions): Promise<number> {
  const names = namesOf(context, options);
  const { controlSocket } = options.sockets;
  const killing = request(controlSocket, "sessions.kill", { names }, { timeoutMs: KILL_TIMEOUT_MS });
  // Interactive shells ignore SIGTERM, so the user may have to wait for the whole grace period.
  const result = await notifyIfSlow(killing, {
    afterMs: KILL_IS_LONG_AFTER_MS,
    notify: () =>
      context.stderr.print(
        "apex: waiting for the processes to end; those that ignore SIGTERM are killed after kill_grace",
      ),
  });
  return await reportFailures(result, { context, failure: "cannot kill session" });
}

function namesOf({ env }: CliContext, { names }: NamedSessionsOptions): string[] {
  if (names.length > 0) return [...names];
  const own = env(SESSION_NAME_VARIABLE);
  if (own) return [own];
  throw new ApexError(
    "usage",
    `no session given, and ${SESSION_NAME_VARIABLE} is not set; name a session (see: apex list)`,
  );
}

async function reportFailures(
  { failed }: SessionNamesResult,
  { context: { stderr }, failure }: { readonly context: CliContext; readonly failure: string },
): Promise<number> {
  for (const { name, message } of failed) {
    const subject = `${failure} ${JSON.stringify(name)}`;
    await stderr.print(`apex: ${failureText(subject, { target: name, error: { message } })}`);
  }
  if (failed.length === 0) return 0;
  const isUnknown = failed.some(({ code }) => code === "not_found");
  return isUnknown ? EXIT_STATUS.not_found : EXIT_STATUS[failed[0]!.code as keyof typeof EXIT_STATUS] ?? 1;
}
