import { MANAGED_LABEL, SESSION_LABEL } from "../containers/apex_labels.ts";
import type { ContainerSpec, TaskContainerSpec } from "../containers/operations/container_spec.ts";
import { ApexError } from "../platform/apex_error.ts";
import { definedFields } from "../platform/defined_fields.ts";
import type { RestoreMode } from "../protocol/session_operations.ts";

/** A client's request. `ttlMs` and the fields of {@linkcode TaskContainerSpec} are ignored if the session exists. */
export interface AttachRequest extends Partial<Pick<TaskContainerSpec, ContainerField>> {
  readonly name: string;
  /** Detaches another client that is attached. */
  readonly force?: boolean;
  /** Detaches again immediately, so the request only creates the session if it does not exist. */
  readonly background?: boolean;
  /** Fails if the session does not exist, instead of creating it. */
  readonly mustExist?: boolean;
  /** What the client sees of an existing session; defaults to the pool's configuration. */
  readonly restore?: RestoreMode;
  /** The time to live: this long after its creation the session is killed. */
  readonly ttlMs?: number;
}

type ContainerField =
  | ("image" | "cmd" | "network" | "workdir" | "user" | "env" | "labels" | "ports" | "mounts")
  | ("projectDir" | "init");

/** Defaults for fields that a request leaves out. */
export interface SessionDefaults {
  readonly image: string;
  /** The command for the default image; by default the image's own command. */
  readonly cmd?: readonly string[];
}

/** The label that holds a session's time to live, in milliseconds from its creation. */
export const TTL_LABEL = "apex.session-ttl-ms";

/** A variable in the session's environment, from which `apex detach` and `apex kill` inside it take the session. */
const NAME_VARIABLE = "APEX_SESSION_NAME";

const SESSION_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;
/** An invalid name is truncated to this length in the message. */
const SHOWN_LENGTH = 256;

/** @throws {ApexError} `usage` when the name is not valid */
export function checkSessionName(name: string): void {
  if (isSessionName(name)) return;
  const shown = name.length > SHOWN_LENGTH ? `${name.slice(0, SHOWN_LENGTH)}…` : name;
  throw new ApexError(
    "usage",
    `invalid session name ${JSON.stringify(shown)}: use 1 to 64 letters, digits, "_", "." and "-", ` +
      `starting with a letter or digit`,
  );
}

export function isSessionName(name: string): boolean {
  return SESSION_NAME.test(name);
}

/** Returns the specification of a new session's container. */
export function sessionContainer(
  request: AttachRequest,
  options: { readonly defaults: SessionDefaults; readonly containerName: string },
): ContainerSpec {
  const { defaults, containerName } = options;
  const { name, image, mounts, projectDir, ports, workdir, user, network, labels, env, ttlMs } = request;
  // The default command is for the default image. Another image runs its own command.
  const cmd = request.cmd ?? (image === undefined ? defaults.cmd : undefined);
  return {
    ...definedFields({ cmd, mounts, projectDir, ports, workdir, user, network }),
    image: image ?? defaults.image,
    name: containerName,
    tty: true,
    openStdin: true,
    labels: {
      ...labels,
      [MANAGED_LABEL]: "true",
      [SESSION_LABEL]: name,
      ...(ttlMs !== undefined && { [TTL_LABEL]: String(ttlMs) }),
    },
    env: { ...env, [NAME_VARIABLE]: name },
    // An interactive shell ignores SIGTERM. SIGHUP ends it, as when a terminal is closed.
    stopSignal: "SIGHUP",
    // As process 1, a shell without a handler would ignore SIGHUP, too.
    init: request.init ?? "if-available",
  };
}
