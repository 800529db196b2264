/**
 * What the `sessions.*` operations say: requests and results (one JSON line each), and the JSON in the last frame of an
 * attach. `control.ts` takes the requests and results into its tables; `frames.ts` has the frames.
 */
import * as v from "valibot";
import { labelsSchema, portsSchema, requestSchema, strictObject, stringRecord } from "./request_schema.ts";

const text = v.pipe(v.string(), v.minLength(1), v.maxLength(256));
const rfc3339 = v.pipe(v.string(), v.isoTimestamp());
const milliseconds = v.pipe(v.number(), v.integer(), v.minValue(0));
const pid = v.pipe(v.number(), v.integer(), v.minValue(1));
/** Of a terminal: what fits into a resize frame. */
const extent = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(0xffff));
const names = v.pipe(v.array(text), v.maxLength(1_000));

/** One schema for each request. */
export const sessionRequestSchemas = {
  /**
   * Creates the session, or goes on with it. From `ttlMs` to `init` it says what to create, and means nothing for a
   * session that exists. After the reply come frames, both ways: from the client `data`, `resize`, `detach` and, every
   * 3 s, `ping`; from the daemon `data` and `ping`, and at last `exit` or `detach`.
   */
  "sessions.attach": requestSchema("sessions.attach", {
    /** Whatever it is: the daemon says which names there can be. */
    name: v.string(),
    /** Takes it from the client that is attached. */
    force: v.optional(v.boolean()),
    /** Attaches and lets go at once. */
    background: v.optional(v.boolean()),
    /** Never creates it: for a client that comes back to what may have ended meanwhile. */
    mustExist: v.optional(v.boolean()),
    /** From its creation on; then it is killed. */
    ttlMs: v.optional(v.pipe(milliseconds, v.minValue(1))),
    image: v.optional(text),
    cmd: v.optional(v.pipe(v.array(v.string()), v.minLength(1))),
    network: v.optional(text),
    workdir: v.optional(text),
    user: v.optional(text),
    env: v.optional(stringRecord(v.string())),
    labels: v.optional(labelsSchema),
    ports: v.optional(portsSchema),
    mounts: v.optional(
      v.array(
        strictObject({ source: v.string(), target: v.string(), readOnly: v.optional(v.boolean()) }),
      ),
    ),
    projectDir: v.optional(v.string()),
    /** Whether the engine's init is process 1; absent: where the engine has one. */
    init: v.optional(v.boolean()),
    columns: extent,
    rows: extent,
    /** What is painted of an existing session: `screen` (the default), `lines=200`, `none`. */
    restore: v.optional(v.string()),
    pid: v.optional(pid),
  }),
  "sessions.list": requestSchema("sessions.list", {}),
  /** By default every session that has a client. */
  "sessions.detach": requestSchema("sessions.detach", { names: v.optional(names) }),
  "sessions.kill": requestSchema("sessions.kill", { names }),
} as const;

/** The request of one operation. */
export type SessionRequestOf<Op extends keyof typeof sessionRequestSchemas> = v.InferOutput<
  (typeof sessionRequestSchemas)[Op]
>;

/** One session, as rich as the events that tell of it. */
export const sessionSchema = v.object({
  name: v.string(),
  status: v.picklist(["attached", "detached"]),
  image: v.string(),
  containerId: v.string(),
  createdAt: rfc3339,
  lastAttachedAt: v.optional(rfc3339),
  attachedPid: v.optional(pid),
  expiresAt: v.optional(rfc3339),
});

export type SessionResult = v.InferOutput<typeof sessionSchema>;

/** What became of each name of a request. */
const namesResultSchema = v.object({
  done: v.array(v.string()),
  failed: v.array(v.object({ name: v.string(), code: v.string(), message: v.string() })),
});

export type SessionNamesResult = v.InferOutput<typeof namesResultSchema>;

/** The schema of each result. */
export const sessionResultSchemas = {
  "sessions.attach": v.object({ name: v.string(), created: v.boolean(), containerId: v.string() }),
  "sessions.list": v.object({ sessions: v.array(sessionSchema) }),
  "sessions.detach": namesResultSchema,
  "sessions.kill": namesResultSchema,
} as const;

/** In the `exit` frame: the session is gone. */
export const sessionExitSchema = v.object({
  exitCode: v.optional(v.number()),
  /** `exit`: its command ended; `removed`: its container vanished. */
  reason: v.picklist(["exit", "killed", "removed", "ttl"]),
});

export type SessionExit = v.InferOutput<typeof sessionExitSchema>;

/** In the daemon's `detach` frame: the session lives on without this client. */
export const sessionDetachSchema = v.object({
  /**
   * `forced`: another client took it; `requested`: somebody asked for it; `slow`: this client took nothing for too long;
   * `silent`: it said nothing for too long, no `ping` either; `shutdown`: the daemon ends; `protocol`: the client sent what
   * is no frame of a client.
   */
  reason: v.picklist(["forced", "requested", "slow", "silent", "shutdown", "protocol"]),
  /** Of `protocol`: what was wrong. */
  error: v.optional(v.string()),
});

export type SessionDetach = v.InferOutput<typeof sessionDetachSchema>;

/** How often each side of an attach says that it is there, and after which silence it is taken for dead. */
export const PING_EVERY_MS = 3_000;
export const SILENT_FOR_MS = 10_000;

/** What of a session's terminal a client gets to see when it attaches. */

/**
 * - `screen`: the screen as it stands;
 * - `lines`: the last so many lines, those that had scrolled off the screen included;
 * - `none`: nothing, only what comes from now on.
 */
export type RestoreMode =
  | { readonly kind: "screen" }
  | { readonly kind: "lines"; readonly lines: number }
  | { readonly kind: "none" };

/** More than any scrollback keeps. */
const MAX_LINES = 1_000_000;

/**
 * Reads `screen`, `none` or `lines=200`.
 * @throws {RangeError} for anything else; its message says what is possible
 */
export function parseRestoreMode(text: string): RestoreMode {
  if (text === "screen" || text === "none") return { kind: text };
  const lines = Number(/^lines=(\d{1,7})$/.exec(text)?.[1]);
  if (lines >= 1 && lines <= MAX_LINES) return { kind: "lines", lines };
  throw new RangeError(`invalid restore mode "${text}": use screen, lines=N (N from 1) or none`);
}
