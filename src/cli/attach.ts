/**
 * `apex attach`: a terminal, or a pipe, joined to a session. The session belongs to the daemon: a client that is killed, or
 * that loses its daemon, loses nothing. When the daemon goes away, this client attaches again as soon as one answers.
 */
import { type AttachedSession, type AttachParams, attachSession } from "../client/attached_session.ts";
import { ApexError, type ErrorCode } from "../platform/apex_error.ts";
import { resolvePaths, type SocketPaths } from "../platform/directories.ts";
import type { SessionDetach, SessionExit } from "../protocol/session_messages.ts";
import { type AttachFlags, attachParamsOf } from "./attach_params.ts";
import type { CliContext } from "./cli_context.ts";
import { DEFAULT_DETACH_KEYS, parseDetachKeys } from "./detach_keys.ts";
import { type EndingSignal, type RelayEnd, SessionConsole, type TerminalSize } from "./session_console.ts";
import { toStatusError } from "./status_error.ts";
import { RUN_FAILED_STATUS } from "./task_end.ts";
import { tellingOfDelay } from "./telling_of_delay.ts";
import { type DaemonFlags, withDaemon } from "./with_daemon.ts";

export interface AttachOptions {
  readonly flags: AttachFlags & DaemonFlags;
  readonly name: string;
  /** What stands behind `--`. */
  readonly command: readonly string[];
}

/** Making a session may begin with the pull of its image. */
const CREATE_TIMEOUT_MS = 600_000;
const LONG_AFTER_MS = 2_000;
/** How long another daemon may take to come, and how often one is looked for. */
const RETRY_FOR_MS = 30_000;
const RETRY_EVERY_MS = 200;

/** What a daemon on its way out, or in, answers. */
const MAY_PASS: ReadonlySet<ErrorCode> = new Set(["no_daemon", "protocol", "engine", "timeout"]);

const SIGNAL_STATUS: Readonly<Record<EndingSignal, number>> = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };

/**
 * Joins this terminal to the session until it is left, or ends.
 *
 * @returns the exit status: that of the session's command, or 0 when the session goes on without us
 * @throws {StatusError} 125 for whatever is apex's own failure, that somebody else is attached among it
 */
export async function attach(context: CliContext, { flags, name, command }: AttachOptions): Promise<number> {
  try {
    const keys = parseDetachKeys(
      flags.detachKeys ?? await configuredKeys(context, flags) ?? DEFAULT_DETACH_KEYS,
    );
    const params = attachParamsOf(flags, { name, command, context });
    const attachTo = async (sockets: SocketPaths) => {
      const attaching = attachSession(sockets.controlSocket, params, { timeoutMs: CREATE_TIMEOUT_MS });
      const tell = () =>
        context.stderr.print(`apex: waiting for session ${name}: it may be that its image is being pulled`);
      return { session: await tellingOfDelay(attaching, { afterMs: LONG_AFTER_MS, tell }), sockets };
    };
    const { session, sockets } = await withDaemon(attachTo, { context, flags });
    const end = params.background
      ? await waitForRelease(session)
      : await stay(session, { context, keys, params, sockets });
    return await tell(end, { context, name, isBackground: params.background ?? false });
  } catch (error) {
    throw toStatusError(error, "the session goes on (see: apex list)");
  }
}

async function configuredKeys(
  context: CliContext,
  { socket, config }: DaemonFlags,
): Promise<string | undefined> {
  const { loadConfig } = await import("../platform/config.ts");
  const paths = resolvePaths({ ...context, socket, config });
  return (await loadConfig({ paths, env: context.env, flags: {} })).session.detachKeys;
}

interface Stay {
  readonly context: CliContext;
  readonly keys: Uint8Array;
  readonly params: AttachParams;
  readonly sockets: SocketPaths;
}

/** Through one daemon after another, for as long as one comes. */
async function stay(first: AttachedSession, { context, keys, params, sockets }: Stay): Promise<RelayEnd> {
  let session = first;
  let asked: TerminalSize = params;
  await using view = await SessionConsole.open({ context, keys });
  while (true) {
    using current = session;
    const end = await view.relay(current, asked);
    const daemonIsGone = end.kind === "lost" || end.kind === "detach" && end.detach.reason === "shutdown";
    if (!daemonIsGone) return end;
    await view.say(`the daemon went away; waiting ${RETRY_FOR_MS / 1_000} s for another (Ctrl-C gives up)`);
    const again = await attachAgain(params, { sockets, view });
    if (again === undefined) return view.endOf(end);
    ({ session, asked } = again);
    await view.say("attached again");
  }
}

interface AttachedAgain {
  readonly session: AttachedSession;
  /** The size of the terminal that the daemon was told. */
  readonly asked: TerminalSize;
}

/** Undefined when no daemon came in time, or nobody waits for it any more. */
async function attachAgain(
  params: AttachParams,
  { sockets, view }: { readonly sockets: SocketPaths; readonly view: SessionConsole },
): Promise<AttachedAgain | undefined> {
  const deadline = Date.now() + RETRY_FOR_MS;
  while (Date.now() < deadline && !view.isLeaving) {
    const asked = view.size;
    try {
      // What has ended meanwhile must not be made anew, nor is it taken from who came first.
      const existing = { ...params, ...asked, force: false, mustExist: true };
      return { session: await attachUnlessLeft(existing, { sockets, view }), asked };
    } catch (error) {
      if (view.isLeaving) return undefined;
      if (!(error instanceof ApexError)) throw error;
      if (error.code === "not_found") throw endedMeanwhile(params.name, error);
      if (!MAY_PASS.has(error.code)) throw error;
    }
    await view.pause(RETRY_EVERY_MS);
  }
  return undefined;
}

function endedMeanwhile(name: string, cause: ApexError): ApexError {
  const message = `session ${name} ended while the daemon was away; its exit status is not known`;
  return new ApexError("not_found", message, { cause });
}

/** Who leaves while a daemon is asked does not wait for its answer; once attached, that daemon lets go in order. */
async function attachUnlessLeft(
  params: AttachParams,
  { sockets, view }: { readonly sockets: SocketPaths; readonly view: SessionConsole },
): Promise<AttachedSession> {
  const asking = new AbortController();
  const giveUp = () => asking.abort();
  view.leaving.addEventListener("abort", giveUp, { once: true });
  try {
    return await attachSession(sockets.controlSocket, params, { signal: asking.signal });
  } finally {
    view.leaving.removeEventListener("abort", giveUp);
  }
}

/** In the background: the daemon lets go of us by itself. */
async function waitForRelease(session: AttachedSession): Promise<RelayEnd> {
  using released = session;
  while (true) {
    const message = await released.next();
    if (message.kind !== "output") return message;
  }
}

async function tell(
  end: RelayEnd,
  { context, name, isBackground }: {
    readonly context: CliContext;
    readonly name: string;
    readonly isBackground: boolean;
  },
): Promise<number> {
  const { stderr, stdout } = context;
  // The session's last line has no end.
  if (end.kind === "detach" && stdout.isTerminal && !isBackground) await stdout.print("");
  switch (end.kind) {
    case "exit":
      return await tellExit(end.exit, { context, name });
    case "detach":
      if (end.detach.reason === "requested") {
        if (!isBackground) await stderr.print(`apex: detached from session ${name}`);
        return 0;
      }
      return await tellDetach(end.detach, { context, name });
    case "interrupted":
      return SIGNAL_STATUS[end.signal];
    case "lost":
      throw new ApexError("stream_cut", `lost the daemon; session ${name} goes on: apex attach ${name}`);
  }
}

async function tellExit(
  { reason, exitCode }: SessionExit,
  { context: { stderr }, name }: { readonly context: CliContext; readonly name: string },
): Promise<number> {
  switch (reason) {
    case "exit":
      break;
    case "killed":
      await stderr.print(`apex: session ${name} was killed`);
      break;
    case "ttl":
      await stderr.print(`apex: session ${name} has reached the end of its time to live`);
      break;
    case "removed":
      await stderr.print(`apex: the container of session ${name} was removed`);
      break;
  }
  return exitCode ?? RUN_FAILED_STATUS;
}

async function tellDetach(
  { reason, error }: SessionDetach,
  { context: { stderr }, name }: { readonly context: CliContext; readonly name: string },
): Promise<number> {
  switch (reason) {
    case "forced":
      await stderr.print(`apex: detached from session ${name}: another client took it (--force)`);
      return 0;
    case "slow":
      throw new ApexError(
        "stream_cut",
        `this terminal did not take the output of session ${name}; it goes on: apex attach ${name}`,
      );
    case "shutdown":
      throw new ApexError("stream_cut", `the daemon has ended; session ${name} goes on: apex attach ${name}`);
    default:
      throw new ApexError("protocol", `the daemon let go of session ${name}: ${error ?? reason}`);
  }
}
