/** The status of a daemon of any version. */
import * as v from "valibot";
import { type StatusResult, statusResultSchema } from "../protocol/daemon_operations.ts";
import { PROTOCOL_VERSION, VERSION } from "../protocol/version.ts";
import { requestAs, type RequestOptions } from "./control_exchange.ts";

/** The identity of a daemon, and the parts of its status that have the form of this version. */
export type DaemonStatus = Pick<StatusResult, "version" | "protocol" | "pid"> & Partial<StatusResult>;

const { version, protocol, pid } = statusResultSchema.entries;
const identitySchema = v.object({ version, protocol, pid });

/**
 * Requests the status of a daemon, which may have another version or another protocol than this client.
 *
 * @throws as `request()` does
 */
export function daemonStatus(controlSocket: string, options: RequestOptions = {}): Promise<DaemonStatus> {
  return requestAs(controlSocket, { op: "status", params: {}, read: knownParts }, options);
}

/** A line for people about a daemon of another version or protocol; undefined for a daemon of this version. */
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
