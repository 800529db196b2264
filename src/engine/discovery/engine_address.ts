/** Finds the engine's socket: the one that somebody named, or else the first that answers where engines usually are. */
import { ApexError } from "../../platform/apex_error.ts";
import { dockerSockets, namedSocket, podmanSockets, socketNamedByDocker } from "./named_engine.ts";

/** Where the engine is. */
export interface EngineAddress {
  readonly socketPath: string;
  /** What named it, for messages: `--engine`, `DOCKER_HOST`, `context "x"`, `default`. */
  readonly source: string;
  /** It is apex's own embedded engine, which the daemon starts when none answers. */
  readonly embedded: boolean;
}

export interface DiscoverOptions {
  /** `auto`, `docker`, `podman`, `embedded` or `unix://PATH`. */
  readonly engine: string;
  /** Who said so: `--engine` (the default), or the config file's name. */
  readonly engineSource?: string;
  readonly env: (name: string) => string | undefined;
  /** Where the embedded engine listens. */
  readonly embeddedSocketPath: string;
  /** Why nothing can be asked there, or `undefined` when something accepts a connection. */
  readonly probe?: (socketPath: string) => Promise<string | undefined>;
}

/**
 * Chooses the engine. An address that somebody named is taken as it is, running or not: the daemon keeps trying. Of the
 * usual sockets the first that accepts a connection wins, so a dead socket file hides no living engine.
 * - `auto`: variables, context, the usual sockets of Docker, then of Podman; never the embedded engine;
 * - `docker`: the same without Podman's sockets;
 * - `podman`: Podman's sockets only (`DOCKER_HOST` may name something else).
 * @throws {ApexError} `usage` for an address that makes no sense or is not supported, `engine` when nothing is found
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

/** What the variables and contexts of Docker's own tools say, or nothing. */
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
    // A full backlog: somebody listens.
    if (error instanceof Deno.errors.WouldBlock) return undefined;
    if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
    if (error instanceof Deno.errors.ConnectionRefused) return "nobody listens";
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return "absent";
    if (error instanceof TypeError) return "path too long";
    throw error;
  }
}
