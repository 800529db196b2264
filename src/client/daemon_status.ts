/** What a daemon of any version says of itself. */
import * as v from "valibot";
import { type StatusResult, statusResultSchema } from "../protocol/daemon_operations.ts";
import { PROTOCOL_VERSION, VERSION } from "../protocol/version.ts";
import { requestAs, type RequestOptions } from "./control_exchange.ts";

/** Its name, so to say, and whatever else of its status has the form that this version knows. */
export type DaemonStatus = Pick<StatusResult, "version" | "protocol" | "pid"> & Partial<StatusResult>;

const { version, protocol, pid } = statusResultSchema.entries;
const identitySchema = v.object({ version, protocol, pid });

/**
 * Asks the daemon; it may speak another protocol than this client.
 *
 * @throws {ApexError} the daemon's own error; `no_daemon`; `timeout`; `protocol` when the peer is no apex daemon. The
 * signal's reason when that is aborted.
 */
export function daemonStatus(controlSocket: string, options: RequestOptions = {}): Promise<DaemonStatus> {
  return requestAs(controlSocket, { op: "status", params: {}, read: knownParts }, options);
}

/**
 * One line for people about a daemon of another version or protocol; undefined for one of this version.
 */
export function versionSkew({ version, protocol, pid }: DaemonStatus): string | undefined {
  if (version === VERSION && protocol === PROTOCOL_VERSION) return undefined;
  const spoken = protocol === PROTOCOL_VERSION
    ? ""
    : ` and speaks control protocol ${protocol}, not ${PROTOCOL_VERSION}`;
  return `the daemon (pid ${pid}) is apex ${version}${spoken}, this is apex ${VERSION}; ` +
    "restart it with this version: apex restart";
}

function knownParts(result: unknown): DaemonStatus {
  const identity = v.parse(identitySchema, result);
  const parts = result as Record<string, unknown>;
  const known = Object.entries(statusResultSchema.entries).flatMap(([key, schema]) => {
    const part = v.safeParse(schema, parts[key]);
    return part.success && part.output !== undefined ? [[key, part.output]] : [];
  });
  return { ...Object.fromEntries(known), ...identity };
}
