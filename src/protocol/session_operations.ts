/** The operations `sessions.*`. */
import * as v from "valibot";
import {
  atLeastOne,
  declareOperations,
  labelsSchema,
  name,
  portsSchema,
  rfc3339,
  strictObject,
  stringRecord,
} from "./operation.ts";

/** Columns or rows of a terminal: what fits into a `resize` frame. */
const extent = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(0xffff));
const names = v.pipe(v.array(name), v.maxLength(1_000));

/** One session, with everything that its events report. */
export const sessionSchema = v.object({
  name: v.string(),
  status: v.picklist(["attached", "detached"]),
  image: v.string(),
  containerId: v.string(),
  createdAt: rfc3339,
  lastAttachedAt: v.optional(rfc3339),
  attachedPid: v.optional(atLeastOne),
  expiresAt: v.optional(rfc3339),
});

export type SessionResult = v.InferOutput<typeof sessionSchema>;

/** The outcome for each name of a request. */
const namesResultSchema = v.object({
  done: v.array(v.string()),
  failed: v.array(v.object({ name: v.string(), code: v.string(), message: v.string() })),
});

export type SessionNamesResult = v.InferOutput<typeof namesResultSchema>;

export const sessionOperations = declareOperations({
  /**
   * Frames follow in both directions. The client sends `data`, `resize`, `detach` and, every 3 s, `ping`; the daemon sends
   * `data` and `ping`, and at last `exit` or `detach`.
   */
  "sessions.attach": {
    description: "Attaches a terminal to a session, and creates the session if it does not exist.",
    kind: "frames",
    http: { method: "POST", path: "/v1/sessions/:name/attach" },
    request: {
      /** Any string: the daemon's reply says which names are valid. */
      name: v.string(),
      /** Detaches the client that is attached. */
      force: v.optional(v.boolean()),
      /** Detaches at once. */
      background: v.optional(v.boolean()),
      /** Never creates the session: for a client that reconnects to a session which may have ended. */
      mustExist: v.optional(v.boolean()),
      // From here to `init`: how to create the session. An existing one ignores it.
      /** From its creation on; then the session is killed. */
      ttlMs: v.optional(atLeastOne),
      image: v.optional(name),
      cmd: v.optional(v.pipe(v.array(v.string()), v.minLength(1))),
      network: v.optional(name),
      workdir: v.optional(name),
      user: v.optional(name),
      env: v.optional(stringRecord(v.string())),
      labels: v.optional(labelsSchema),
      ports: v.optional(portsSchema),
      mounts: v.optional(
        v.array(strictObject({ source: v.string(), target: v.string(), readOnly: v.optional(v.boolean()) })),
      ),
      projectDir: v.optional(v.string()),
      /** Whether the engine's init is process 1; by default, if the engine has one. */
      init: v.optional(v.boolean()),
      columns: extent,
      rows: extent,
      /** What the daemon paints of an existing session: see {@linkcode RestoreMode}. */
      restore: v.optional(v.string()),
      /** Of the client, to be shown to others. */
      pid: v.optional(atLeastOne),
    },
    result: v.object({ name: v.string(), created: v.boolean(), containerId: v.string() }),
  },
  "sessions.list": {
    description: "Lists the sessions.",
    kind: "reply",
    http: { method: "GET", path: "/v1/sessions" },
    request: {},
    result: v.object({ sessions: v.array(sessionSchema) }),
  },
  "sessions.detach": {
    description: "Detaches the clients of sessions, which continue without them.",
    kind: "reply",
    http: { method: "POST", path: "/v1/sessions/detach" },
    request: {
      /** Every attached session by default. */
      names: v.optional(names),
    },
    result: namesResultSchema,
  },
  "sessions.kill": {
    description: "Ends sessions, and replies when they have ended.",
    kind: "reply",
    http: { method: "POST", path: "/v1/sessions/kill" },
    request: { names },
    result: namesResultSchema,
  },
});

/** Payload of the `exit` frame of `sessions.attach`: the session has ended. */
export const sessionExitSchema = v.object({
  exitCode: v.optional(v.number()),
  /** `exit`: its command ended; `killed`: by `sessions.kill`; `removed`: its container was removed; `ttl`: it expired. */
  reason: v.picklist(["exit", "killed", "removed", "ttl"]),
});

export type SessionExit = v.InferOutput<typeof sessionExitSchema>;

/** Payload of the daemon's `detach` frame: the session continues without this client. */
export const sessionDetachSchema = v.object({
  /**
   * `forced`: another client attached; `requested`: this or another client asked for it; `slow`: this client took no output
   * for too long; `silent`: it sent nothing for too long, not even a `ping`; `shutdown`: the daemon ends; `protocol`: the client
   * sent an invalid frame.
   */
  reason: v.picklist(["forced", "requested", "slow", "silent", "shutdown", "protocol"]),
  /** With `protocol`: what was invalid. */
  error: v.optional(v.string()),
});

export type SessionDetach = v.InferOutput<typeof sessionDetachSchema>;

/** How often each side of an attach sends a `ping`. */
export const PING_EVERY_MS = 3_000;
/** After this silence, each side treats the other as dead. */
export const SILENT_FOR_MS = 10_000;

/**
 * What a client that attaches sees of a session's terminal: the current screen; the last lines, including those that have
 * scrolled off the screen; or only new output.
 */
export type RestoreMode =
  | { readonly kind: "screen" }
  | { readonly kind: "lines"; readonly lines: number }
  | { readonly kind: "none" };

/** More than any scrollback keeps. */
const MAX_LINES = 1_000_000;

/**
 * Parses `screen`, `none` or `lines=200`.
 *
 * @throws {RangeError} for anything else; its message lists the valid modes
 */
export function parseRestoreMode(text: string): RestoreMode {
  if (text === "screen" || text === "none") return { kind: text };
  const lines = Number(/^lines=(\d{1,7})$/.exec(text)?.[1]);
  if (lines >= 1 && lines <= MAX_LINES) return { kind: "lines", lines };
  throw new RangeError(`invalid restore mode "${text}": use screen, lines=N (N from 1) or none`);
}
