import { MANAGED_LABEL, SESSION_LABEL } from "../containers/apex_labels.ts";
import type { ContainerSpec, Mount, PortMapping } from "../containers/operations/container_spec.ts";
import { ApexError } from "../platform/apex_error.ts";
import type { RestoreMode } from "../protocol/session_messages.ts";

/** A client's request. The fields from `ttlMs` on describe a new session; for an existing session they are ignored. */
export interface AttachRequest {
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
  readonly image?: string;
  readonly cmd?: readonly string[];
  readonly network?: string;
  readonly workdir?: string;
  readonly user?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Labels in addition to those of apex, which take precedence. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly ports?: readonly PortMapping[];
  readonly mounts?: readonly Mount[];
  /** A directory of the host, mounted at `/workspace`, which then is the working directory. */
  readonly projectDir?: string;
  /** Whether the engine's init runs as process 1; by default it does if the engine has one. */
  readonly init?: boolean;
}

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
  const { mounts, projectDir, ports, workdir, user, network } = request;
  // The default command is for the default image. Another image runs its own command.
  const cmd = request.cmd ?? (request.image === undefined ? defaults.cmd : undefined);
  return {
    image: request.image ?? defaults.image,
    name: containerName,
    tty: true,
    openStdin: true,
    labels: {
      ...request.labels,
      [MANAGED_LABEL]: "true",
      [SESSION_LABEL]: request.name,
      ...(request.ttlMs !== undefined && { [TTL_LABEL]: String(request.ttlMs) }),
    },
    env: { ...request.env, [NAME_VARIABLE]: request.name },
    ...(cmd !== undefined && { cmd }),
    ...(mounts !== undefined && { mounts }),
    ...(projectDir !== undefined && { projectDir }),
    ...(ports !== undefined && { ports }),
    ...(workdir !== undefined && { workdir }),
    ...(user !== undefined && { user }),
    ...(network !== undefined && { network }),
    // An interactive shell ignores SIGTERM. SIGHUP ends it, as when a terminal is closed.
    stopSignal: "SIGHUP",
    // As process 1, a shell without a handler would ignore SIGHUP, too.
    init: request.init ?? "if-available",
  };
}
