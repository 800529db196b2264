/**
 * `apex attach`: connects a terminal, or a pipe, to a session. The session belongs to the daemon, and continues if this
 * client is killed. If the daemon goes away, this client attaches again as soon as one answers.
 */
import { type AttachParams, attachSession, type SessionAttachment } from "../../client/session_attachment.ts";
import { ApexError, type ErrorCode } from "../../platform/apex_error.ts";
import { notifyIfSlow } from "../../platform/async/wait.ts";
import { resolvePaths, type SocketPaths } from "../../platform/directories.ts";
import { type AttachFlags, attachParamsOf, creationOptions } from "../args/attach_params.ts";
import type { DaemonFlags } from "../args/daemon_flags.ts";
import type { CliContext } from "../cli_context.ts";
import { isConnectionLoss, reconnect, RECONNECT_WITHIN_MS } from "../connection/reconnect.ts";
import { withDaemon } from "../connection/with_daemon.ts";
import { toStatusError } from "../output/exit_status.ts";
import type { TerminalSize } from "../standard_streams.ts";
import { DEFAULT_DETACH_KEYS, parseDetachKeys } from "../terminal/detach_keys.ts";
import { SessionConsole } from "../terminal/session_console.ts";
import { type RelayEnd, reportSessionEnd } from "../terminal/session_end.ts";

export { misplacedWords } from "../args/attach_params.ts";

export interface AttachOptions {
  readonly flags: AttachFlags & DaemonFlags;
  readonly name: string;
  /** The words after `--`. */
  readonly command: readonly string[];
}

/** Creating a session may include the pull of its image. */
const CREATE_TIMEOUT_MS = 600_000;
const LONG_AFTER_MS = 2_000;

/** The errors of a daemon that is starting or shutting down. */
const TRANSIENT: ReadonlySet<ErrorCode> = new Set(["no_daemon", "protocol", "engine", "timeout"]);

/**
 * Attaches until the user detaches, or the session ends.
 *
 * @returns the exit status: that of the session's command, or 0 if the session continues
 * @throws {StatusError} 125 for every failure of apex itself, such as another attached client
 */
export async function attach(context: CliContext, { flags, name, command }: AttachOptions): Promise<number> {
  try {
    const keys = parseDetachKeys(
      flags.detachKeys ?? await configuredKeys(context, flags) ?? DEFAULT_DETACH_KEYS,
    );
    const params = attachParamsOf(flags, { name, command, context });
    const attachTo = async (sockets: SocketPaths) => {
      const attaching = attachSession(sockets.controlSocket, params, { timeoutMs: CREATE_TIMEOUT_MS });
      const notify = () =>
        context.stderr.print(`apex: waiting for session ${name} (its image may have to be pulled)`);
      return { session: await notifyIfSlow(attaching, { afterMs: LONG_AFTER_MS, notify }), sockets };
    };
    const { session, sockets } = await withDaemon(attachTo, { context, flags }).catch((error) => {
      if (!isConnectionLoss(error)) throw error;
      const message =
        `lost the daemon before it answered; session ${name} may or may not exist (see: apex list); ` +
        `try again: apex attach ${name}`;
      throw new ApexError("stream_cut", message, { cause: error });
    });
    const ignored = session.created ? [] : creationOptions(flags, command);
    const reportIgnored = async () => {
      if (ignored.length === 0) return;
      const options = ignored.join(", ");
      await context.stderr.print(
        `apex: session ${name} already exists; ignored options that apply only to a new session: ${options}`,
      );
    };
    const isBackground = params.background ?? false;
    // The session repaints the terminal, so the note comes after it.
    const isPainted = context.stdout.isTerminal && !isBackground;
    if (!isPainted) await reportIgnored();
    const end = isBackground
      ? await waitForRelease(session)
      : await stay(session, { context, keys, params, sockets });
    // The session's last line is unfinished.
    if (isPainted && end.kind === "detach") await context.stdout.print("");
    if (isPainted) await reportIgnored();
    return await reportSessionEnd(end, { context, name, isBackground });
  } catch (error) {
    throw toStatusError(error, "the session continues (see: apex list)");
  }
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

/** Relays the session through one daemon or several, until it ends, the user detaches, or no daemon comes. */
async function stay(first: SessionAttachment, { context, keys, params, sockets }: Stay): Promise<RelayEnd> {
  let session = first;
  let requested: TerminalSize = params;
  await using view = await SessionConsole.open(context, keys);
  while (true) {
    using current = session;
    const end = await view.relay(current, requested);
    const hasLostDaemon = end.kind === "lost" || end.kind === "detach" && end.detach.reason === "shutdown";
    if (!hasLostDaemon) return end;
    await view.notify(
      `lost the daemon; waiting ${RECONNECT_WITHIN_MS / 1_000} s for another (Ctrl-C gives up)`,
    );
    const again = await attachAgain(params, { context, sockets, view });
    if (again === undefined) return view.endOf(end);
    ({ session, requested } = again);
    await view.notify("attached again");
  }
}

/** The session, and the terminal size in the request. Undefined if no daemon comes in time, or the user leaves. */
async function attachAgain(
  params: AttachParams,
  { context, sockets, view }: Pick<Stay, "context" | "sockets"> & { readonly view: SessionConsole },
): Promise<{ readonly session: SessionAttachment; readonly requested: TerminalSize } | undefined> {
  try {
    return await reconnect(async () => {
      const requested = view.size;
      await context.checkDaemon(sockets);
      // A session that has ended must not be created again, and a client that has attached first keeps the session.
      const existing = { ...params, ...requested, force: false, mustExist: true };
      return { session: await attachUnlessLeft(existing, { sockets, view }), requested };
    }, {
      abort: view.leaving,
      isTransient: (error) => error instanceof ApexError && TRANSIENT.has(error.code),
    });
  } catch (error) {
    if (view.isLeaving) return undefined;
    if (!(error instanceof ApexError)) throw error;
    if (error.code === "stream_cut") return undefined;
    if (error.code !== "not_found") throw error;
    const message = `session ${params.name} ended while no daemon was connected; its exit status is unknown`;
    throw new ApexError("not_found", message, { cause: error });
  }
}

/** Leaving cancels the request, but not the attached session: from that the daemon detaches this client in order. */
async function attachUnlessLeft(
  params: AttachParams,
  { sockets, view }: { readonly sockets: SocketPaths; readonly view: SessionConsole },
): Promise<SessionAttachment> {
  const requesting = new AbortController();
  const giveUp = () => requesting.abort();
  view.leaving.addEventListener("abort", giveUp, { once: true });
  try {
    return await attachSession(sockets.controlSocket, params, { abort: requesting.signal });
  } finally {
    view.leaving.removeEventListener("abort", giveUp);
  }
}

/** Waits until the daemon detaches this client, as it does with `--background` once the session exists. */
async function waitForRelease(session: SessionAttachment): Promise<RelayEnd> {
  using released = session;
  while (true) {
    const message = await released.next();
    if (message.kind !== "output") return message;
  }
}
