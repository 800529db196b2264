/**
 * `apex attach`: a terminal, or a pipe, joined to a session. The session belongs to the daemon: a client that is killed, or
 * that loses its daemon, loses nothing. When the daemon goes away, this client attaches again as soon as one answers.
 */
import { type AttachedSession, type AttachParams, attachSession } from "../../client/attached_session.ts";
import { ApexError, type ErrorCode } from "../../platform/apex_error.ts";
import { notifyIfSlow } from "../../platform/async/wait.ts";
import { resolvePaths, type SocketPaths } from "../../platform/directories.ts";
import { type AttachFlags, attachParamsOf, creatingOptions } from "../args/attach_params.ts";
import type { DaemonFlags } from "../args/daemon_flags.ts";
import { DEFAULT_DETACH_KEYS, parseDetachKeys } from "../args/detach_keys.ts";
import type { CliContext } from "../cli_context.ts";
import { isConnectionLoss } from "../connection/passing_error.ts";
import { reconnect, RECONNECT_WITHIN_MS } from "../connection/reconnect.ts";
import { withDaemon } from "../connection/with_daemon.ts";
import { tellSessionEnd } from "../output/session_end.ts";
import { toStatusError } from "../output/status_error.ts";
import { type RelayEnd, SessionConsole, type TerminalSize } from "../terminal/session_console.ts";

export { misplacedWords } from "../args/attach_params.ts";

export interface AttachOptions {
  readonly flags: AttachFlags & DaemonFlags;
  readonly name: string;
  /** What stands behind `--`. */
  readonly command: readonly string[];
}

/** Making a session may begin with the pull of its image. */
const CREATE_TIMEOUT_MS = 600_000;
const LONG_AFTER_MS = 2_000;

/** What a daemon on its way out, or in, answers. */
const MAY_PASS: ReadonlySet<ErrorCode> = new Set(["no_daemon", "protocol", "engine", "timeout"]);

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
      return { session: await notifyIfSlow(attaching, { afterMs: LONG_AFTER_MS, notify: tell }), sockets };
    };
    const { session, sockets } = await withDaemon(attachTo, { context, flags }).catch((error) => {
      throw isConnectionLoss(error) ? lostInFlight(name, error) : error;
    });
    const ignored = session.created ? [] : creatingOptions(flags, command);
    const tellIgnored = async () => {
      if (ignored.length > 0) await context.stderr.print(`apex: ${onlyWhenMade(name, ignored)}`);
    };
    const isBackground = params.background ?? false;
    // A terminal is painted over: afterwards it can be read.
    const isPainted = context.stdout.isTerminal && !isBackground;
    if (!isPainted) await tellIgnored();
    const end = isBackground
      ? await waitForRelease(session)
      : await stay(session, { context, keys, params, sockets });
    // The session's last line has no end.
    if (isPainted && end.kind === "detach") await context.stdout.print("");
    if (isPainted) await tellIgnored();
    return await tellSessionEnd(end, { context, name, isBackground });
  } catch (error) {
    throw toStatusError(error, "the session goes on (see: apex list)");
  }
}

function onlyWhenMade(name: string, options: readonly string[]): string {
  return `session ${name} exists already; what counts only when it is made was ignored: ${
    options.join(", ")
  }`;
}

function lostInFlight(name: string, cause: unknown): ApexError {
  const message =
    `the daemon went away before it had answered, so that session ${name} may be there or not ` +
    `(see: apex list); try again: apex attach ${name}`;
  return new ApexError("stream_cut", message, { cause });
}

async function configuredKeys(
  context: CliContext,
  { socket, config }: DaemonFlags,
): Promise<string | undefined> {
  const { loadConfig } = await import("../../platform/config.ts");
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
    await view.say(
      `the daemon went away; waiting ${RECONNECT_WITHIN_MS / 1_000} s for another (Ctrl-C gives up)`,
    );
    const again = await attachAgain(params, { context, sockets, view });
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
  { context, sockets, view }: Pick<Stay, "context" | "sockets"> & { readonly view: SessionConsole },
): Promise<AttachedAgain | undefined> {
  try {
    return await reconnect(async () => {
      const asked = view.size;
      // What has ended meanwhile must not be made anew, nor is it taken from who came first.
      await context.checkDaemon(sockets);
      const existing = { ...params, ...asked, force: false, mustExist: true };
      return { session: await attachUnlessLeft(existing, { sockets, view }), asked };
    }, {
      signal: view.leaving,
      mayPass: (error) => error instanceof ApexError && MAY_PASS.has(error.code),
    });
  } catch (error) {
    if (view.isLeaving) return undefined;
    if (!(error instanceof ApexError)) throw error;
    if (error.code === "stream_cut") return undefined;
    throw error.code === "not_found" ? endedMeanwhile(params.name, error) : error;
  }
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
