/** The operations on the daemon itself: `status` and `stop`. The daemon accepts both from clients of every protocol. */
import * as v from "valibot";
import { count, declareOperations, rfc3339 } from "./operation.ts";

/** The state of the daemon, of its engine, and of what it stores. */
export const statusResultSchema = v.object({
  /** apex's version, `0.1.0` for example. */
  version: v.string(),
  /** The version of the control protocol. */
  protocol: v.number(),
  /** The label `apex.instance` of each container that this daemon creates. */
  instance: v.string(),
  pid: count,
  startedAt: rfc3339,
  uptimeMs: v.pipe(v.number(), v.minValue(0)),
  engine: v.object({
    state: v.picklist(["connecting", "connected", "disconnected"]),
    /** Known from the first connection on. */
    kind: v.optional(v.picklist(["docker", "podman", "embedded"])),
    version: v.optional(v.string()),
    /** Path of the engine's socket. */
    socket: v.string(),
    /** Why apex uses this engine: `--engine`, `DOCKER_HOST`, `context "x"`, `default` … */
    source: v.string(),
    /** Why it is not connected. */
    error: v.optional(v.string()),
  }),
  /** Paths of the daemon's sockets. */
  sockets: v.object({ control: v.string(), events: v.string() }),
  /** Subscribers that are connected now, to `events.socket` and by `events.subscribe`. */
  subscribers: count,
  /** Since the daemon's start. */
  eventsPublished: count,
  /** Disconnected for being too slow, since the daemon's start. */
  subscribersDropped: count,
  /** The log in memory: its size, and the sequence numbers of its oldest and its newest event (0: no event yet). */
  log: v.object({
    bytes: count,
    oldest: count,
    head: count,
    /** With a number it makes a cursor, `<epoch>:<number>`. */
    epoch: v.string(),
  }),
  /** The state directory, the configuration file, and the log of a daemon in the background. */
  paths: v.object({ state: v.string(), config: v.string(), log: v.optional(v.string()) }),
  /** The options that the daemon was started with, paths absolute: `apex restart` repeats them. */
  flags: v.array(v.string()),
  sessions: v.object({ attached: count, detached: count }),
  /** Tasks that have not ended. */
  tasks: v.object({ running: count, pending: count }),
  /** The database. `degraded`: changes are lost when the daemon ends; `error` says why. */
  storage: v.object({ state: v.picklist(["ok", "degraded"]), error: v.optional(v.string()) }),
  /**
   * Events on disk. `degraded`: new events are not journaled, and `error` says why; `off`: by configuration. `oldest`: the
   * number of the oldest event that a subscriber can resume from; `bytes`: the size of the database.
   */
  journal: v.object({
    state: v.picklist(["ok", "degraded", "off"]),
    error: v.optional(v.string()),
    oldest: count,
    bytes: count,
  }),
});

export type StatusResult = v.InferOutput<typeof statusResultSchema>;

export const daemonOperations = declareOperations({
  "status": {
    description: "Reports the state of the daemon, its engine and its log.",
    kind: "reply",
    http: { method: "GET", path: "/v1/status" },
    request: {},
    result: statusResultSchema,
  },
  "stop": {
    description: "Ends the daemon after the reply.",
    kind: "reply",
    http: { method: "POST", path: "/v1/stop" },
    request: {},
    result: v.object({ pid: count }),
  },
});
