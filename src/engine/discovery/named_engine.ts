/**
 * The engine that the user named. The order is that of Docker's own tools: the flag or config file, `DOCKER_HOST`,
 * `DOCKER_CONTEXT`, the current context. Errors name the source of the bad value.
 */
import { ApexError } from "../../platform/apex_error.ts";
import { MAX_SOCKET_PATH_BYTES } from "../../platform/directories.ts";
import { currentDockerContext, dockerContextHost } from "./docker_context.ts";

type Env = (name: string) => string | undefined;

/** A socket, and where its path comes from. */
export interface NamedSocket {
  readonly socketPath: string;
  /** Where the path comes from, for messages: `--engine`, `DOCKER_HOST`, `context "x"`. */
  readonly source: string;
}

export interface NamedEngine {
  /** The name as given, or as it would be given: `docker`, `unix:///run/x.sock`. */
  readonly name: string;
  /** Where the name comes from, as in {@linkcode NamedSocket}. */
  readonly source: string;
  /** Any engine of this kind matches; absent when a socket was named. */
  readonly kind?: "docker" | "podman" | "embedded";
  /** An engine at any of these sockets matches. */
  readonly socketPaths: readonly string[];
}

export interface NamedEngineOptions {
  /** `auto`, `docker`, `podman`, `embedded` or `unix://PATH`. */
  readonly engine: string;
  /** Where `engine` comes from: `--engine`, `engine in /…/config.toml`, `default`. */
  readonly engineSource: string;
  readonly env: Env;
  /** The socket of the embedded engine. */
  readonly embeddedSocketPath: string;
}

/**
 * Returns the named engine; undefined when none was named, so that the default sockets are tried.
 * @throws {ApexError} `usage` for an invalid or unsupported address
 */
export async function namedEngine(options: NamedEngineOptions): Promise<NamedEngine | undefined> {
  const { engine, engineSource: source, env, embeddedSocketPath } = options;
  switch (engine) {
    case "embedded":
      return { name: engine, source, kind: engine, socketPaths: [embeddedSocketPath] };
    case "podman":
      return { name: engine, source, kind: engine, socketPaths: podmanSockets(env) };
    case "docker":
      return bySocket(await socketNamedByDocker(env)) ??
        { name: engine, source, kind: engine, socketPaths: dockerSockets(env) };
    case "auto":
      return bySocket(await socketNamedByDocker(env));
    default:
      return bySocket(namedSocket(engine, source));
  }
}

/**
 * The socket that Docker's environment variables and contexts name, if any.
 * @throws {ApexError} `usage`
 */
export async function socketNamedByDocker(env: Env): Promise<NamedSocket | undefined> {
  const host = env("DOCKER_HOST");
  if (host) return namedSocket(host, "DOCKER_HOST");
  const context = await currentDockerContext(env);
  if (context === undefined) return undefined;
  return namedSocket(await dockerContextHost(context, env), `context "${context.name}"`);
}

/** @throws {ApexError} `usage` when the address is not that of a Unix socket */
export function namedSocket(address: string, source: string): NamedSocket {
  const [, scheme, rest = ""] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/i.exec(address) ?? [];
  if (scheme === undefined) {
    throw new ApexError(
      "usage",
      `${source} says "${address}", which is not an engine; use auto, docker, podman, embedded or unix://PATH`,
    );
  }
  if (scheme.toLowerCase() !== "unix") {
    throw new ApexError(
      "usage",
      `${source} says "${address}": ${scheme}:// is not supported, apex speaks to an engine over a Unix socket ` +
        `(unix://PATH) only; forward the remote socket (ssh -L PATH:/var/run/docker.sock HOST) or use --engine`,
    );
  }
  if (!rest.startsWith("/")) {
    throw new ApexError("usage", `${source} says "${address}": the path of a Unix socket must be absolute`);
  }
  if (new TextEncoder().encode(rest).length > MAX_SOCKET_PATH_BYTES) {
    throw new ApexError("usage", `${source} says "${address}": the path is too long for a Unix socket`);
  }
  return { socketPath: rest, source };
}

function bySocket(named: NamedSocket | undefined): NamedEngine | undefined {
  if (named === undefined) return undefined;
  return { name: `unix://${named.socketPath}`, source: named.source, socketPaths: [named.socketPath] };
}

/**
 * The default sockets of Docker, and of the tools that include Docker, on Linux and macOS. The most common come first.
 */
export function dockerSockets(env: Env): string[] {
  return [
    "/var/run/docker.sock",
    ...below(env("XDG_RUNTIME_DIR"), ["docker.sock"]),
    ...below(env("HOME"), [
      ".docker/run/docker.sock", // Docker Desktop
      ".docker/desktop/docker.sock", // Docker Desktop on Linux
      ".orbstack/run/docker.sock",
      ".rd/docker.sock", // Rancher Desktop
      ".colima/default/docker.sock",
      ".lima/default/sock/docker.sock",
    ]),
  ];
}

/** The default sockets of Podman: rootless, as a system service, and in its virtual machine. */
export function podmanSockets(env: Env): string[] {
  return [
    ...below(env("XDG_RUNTIME_DIR"), ["podman/podman.sock"]),
    "/run/podman/podman.sock",
    ...below(env("HOME"), [".local/share/containers/podman/machine/podman.sock"]),
  ];
}

/** No paths when the variable for the directory is not set. */
function below(directory: string | undefined, paths: readonly string[]): string[] {
  return directory ? paths.map((path) => `${directory}/${path}`) : [];
}
