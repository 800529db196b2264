/**
 * Finds the engine's socket: the one that the user named, or else the first default socket that accepts a connection.
 */
import { ApexError } from "../../platform/apex_error.ts";
import { dockerSockets, namedSocket, podmanSockets, socketNamedByDocker } from "./named_engine.ts";

/** The socket of an engine, and where its path comes from. */
export interface EngineAddress {
  readonly socketPath: string;
  /** Where the path comes from, for messages: `--engine`, `DOCKER_HOST`, `context "x"`, `default`. */
  readonly source: string;
  /** apex's own embedded engine, which the daemon starts when it is not running. */
  readonly embedded: boolean;
}

export interface DiscoverOptions {
  /** `auto`, `docker`, `podman`, `embedded` or `unix://PATH`. */
  readonly engine: string;
  /** Where `engine` comes from: `--engine` (the default), or the name of the config file. */
  readonly engineSource?: string;
  readonly env: (name: string) => string | undefined;
  /** The socket of the embedded engine. */
  readonly embeddedSocketPath: string;
  /** Why a socket is unusable, or `undefined` when it accepts a connection. */
  readonly probe?: (socketPath: string) => Promise<string | undefined>;
}

/**
 * Chooses the engine. A named address is used as it is, running or not: the daemon keeps trying. Of the default
 * sockets, the first that accepts a connection wins, so a stale socket file does not hide a running engine.
 * - `auto`: environment variables, Docker's context, the default sockets of Docker, then of Podman; never the embedded
 *   engine
 * - `docker`: the same without Podman's sockets
 * - `podman`: only Podman's sockets (`DOCKER_HOST` may name another engine)
 * @throws {ApexError} `usage` for an invalid or unsupported address, `engine` when no engine is found
 */
export async function discoverEngine(options: DiscoverOptions): Promise<EngineAddress> {
  const { engine, engineSource = "--engine", env, probe = probeSocket } = options;
  switch (engine) {
    case "embedded":
      return { socketPath: options.embeddedSocketPath, source: engineSource, embedded: true };
    case "podman":
      return await firstThatConnects("podman", podmanSockets(env), probe);
    case "docker":
      return await namedByDocker(env) ?? await firstThatConnects("docker", dockerSockets(env), probe);
    case "auto": {
      const usual = [...dockerSockets(env), ...podmanSockets(env)];
      return await namedByDocker(env) ?? await firstThatConnects("auto", usual, probe);
    }
    default:
      return { ...namedSocket(engine, engineSource), embedded: false };
  }
}

/** The engine that Docker's environment variables and contexts name, if any. */
async function namedByDocker(env: DiscoverOptions["env"]): Promise<EngineAddress | undefined> {
  const named = await socketNamedByDocker(env);
  return named && { ...named, embedded: false };
}

async function firstThatConnects(
  engine: "auto" | "docker" | "podman",
  socketPaths: readonly string[],
  probe: (socketPath: string) => Promise<string | undefined>,
): Promise<EngineAddress> {
  const tried: string[] = [];
  for (const socketPath of socketPaths) {
    const why = await probe(socketPath);
    if (why === undefined) return { socketPath, source: "default", embedded: false };
    tried.push(`${socketPath} (${why})`);
  }
  const what = { auto: "a container engine", docker: "Docker", podman: "Podman" }[engine];
  throw new ApexError(
    "engine",
    `cannot find ${what}; tried ${tried.join(", ")}; start it, name its socket with --engine unix://PATH, ` +
      "or use --engine embedded, which needs nothing installed",
  );
}

async function probeSocket(socketPath: string): Promise<string | undefined> {
  try {
    using _connection = await Deno.connect({ transport: "unix", path: socketPath });
    return undefined;
  } catch (error) {
    // A full backlog: a process listens.
    if (error instanceof Deno.errors.WouldBlock) return undefined;
    if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
    if (error instanceof Deno.errors.ConnectionRefused) return "connection refused";
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return "absent";
    if (error instanceof TypeError) return "path too long";
    throw error;
  }
}
