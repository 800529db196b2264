import { MANAGED_LABEL, SESSION_LABEL } from "../containers/apex_labels.ts";
import type { ContainerSpec, Mount, PortMapping } from "../containers/operations/container_spec.ts";
import { ApexError } from "../platform/apex_error.ts";
import type { RestoreMode } from "../protocol/restore_mode.ts";

/** What a client asks for. From `ttlMs` on it says what to create, and means nothing for a session that exists. */
export interface AttachRequest {
  readonly name: string;
  /** Takes the session from the client that is attached. */
  readonly force?: boolean;
  /** Attaches and lets go at once. */
  readonly background?: boolean;
  /** Never creates it. */
  readonly mustExist?: boolean;
  /** What is painted of an existing session; absent: as the pool's configuration says. */
  readonly restore?: RestoreMode;
  /** From its creation on; then it is killed. */
  readonly ttlMs?: number;
  readonly image?: string;
  readonly cmd?: readonly string[];
  readonly network?: string;
  readonly workdir?: string;
  readonly user?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Beside those of apex, which win. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly ports?: readonly PortMapping[];
  readonly mounts?: readonly Mount[];
  /** A directory of this machine, to be seen at `/workspace`, which is then the working directory. */
  readonly projectDir?: string;
  /** Whether the engine's init is process 1; absent: where the engine has one. */
  readonly init?: boolean;
}

/** What a session is when its request leaves it open. */
export interface SessionDefaults {
  readonly image: string;
  /** Absent: the image's own command. */
  readonly cmd?: readonly string[];
}

/** On a session's container: how long it may exist from its creation on, in milliseconds. */
export const TTL_LABEL = "apex.session-ttl-ms";

/** In the session's own environment: `apex detach` and `apex kill` inside it mean this one. */
const NAME_VARIABLE = "APEX_SESSION_NAME";

const SESSION_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;
/** Of a name that is none, in a message. */
const SHOWN_LENGTH = 256;

/** @throws {ApexError} `usage` */
export function checkSessionName(name: string): void {
  if (isSessionName(name)) return;
  const shown = name.length > SHOWN_LENGTH ? `${name.slice(0, SHOWN_LENGTH)}…` : name;
  throw new ApexError(
    "usage",
    `invalid session name ${JSON.stringify(shown)}: use 1 to 64 letters, digits, "_", "." and "-", ` +
      `beginning with a letter or digit`,
  );
}

export function isSessionName(name: string): boolean {
  return SESSION_NAME.test(name);
}

/** The container of a new session. */
export function sessionContainer(
  request: AttachRequest,
  options: { readonly defaults: SessionDefaults; readonly containerName: string },
): ContainerSpec {
  const { defaults, containerName } = options;
  const { mounts, projectDir, ports, workdir, user, network } = request;
  // The default command is for the default image; another image has a command of its own.
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
    // An interactive shell ignores SIGTERM; SIGHUP ends it, as when its terminal is closed.
    stopSignal: "SIGHUP",
    // As process 1 a shell without a handler would ignore even that.
    init: request.init ?? "if-available",
  };
}
