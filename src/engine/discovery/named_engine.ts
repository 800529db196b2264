/**
 * Which engine a person has named, in the order that Docker's own tools have: what was asked for, `DOCKER_HOST`,
 * `DOCKER_CONTEXT`, the current context. Whatever is wrong is said with the name of where it stands.
 */
import { ApexError } from "../../platform/apex_error.ts";
import { MAX_SOCKET_PATH_BYTES } from "../../platform/directories.ts";
import { currentDockerContext, dockerContextHost } from "./docker_context.ts";

type Env = (name: string) => string | undefined;

/** A socket by its path. */
export interface NamedSocket {
  readonly socketPath: string;
  /** What named it, for messages: `--engine`, `DOCKER_HOST`, `context "x"`. */
  readonly source: string;
}

export interface NamedEngine {
  /** As it was named, or would be: `docker`, `unix:///run/x.sock`. */
  readonly name: string;
  /** What named it, as {@linkcode NamedSocket} has it. */
  readonly source: string;
  /** Any engine of this kind is meant; absent where a socket was named. */
  readonly kind?: "docker" | "podman" | "embedded";
  /** An engine at any of these sockets is meant. */
  readonly socketPaths: readonly string[];
}

export interface NamedEngineOptions {
  /** `auto`, `docker`, `podman`, `embedded` or `unix://PATH`. */
  readonly engine: string;
  /** What said so: `--engine`, `engine in /…/config.toml`, `default`. */
  readonly engineSource: string;
  readonly env: Env;
  /** Where the embedded engine listens. */
  readonly embeddedSocketPath: string;
}

/**
 * The engine that was named; undefined where none was, and the usual sockets are looked at.
 *
 * @throws {ApexError} `usage` for an address that is invalid or not supported
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
 * What the variables and contexts of Docker's own tools say, or nothing.
 *
 * @throws {ApexError} `usage`
 */
export async function socketNamedByDocker(env: Env): Promise<NamedSocket | undefined> {
  const host = env("DOCKER_HOST");
  if (host) return namedSocket(host, "DOCKER_HOST");
  const context = await currentDockerContext(env);
  if (context === undefined) return undefined;
  return namedSocket(await dockerContextHost(context, env), `context "${context.name}"`);
}

/** @throws {ApexError} `usage` for what is not the address of a Unix socket */
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

/** Docker's, and those of the tools that bring Docker along. */
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

/** Podman's: rootless, as a service of the system, and of its virtual machine. */
export function podmanSockets(env: Env): string[] {
  return [
    ...below(env("XDG_RUNTIME_DIR"), ["podman/podman.sock"]),
    "/run/podman/podman.sock",
    ...below(env("HOME"), [".local/share/containers/podman/machine/podman.sock"]),
  ];
}

/** Nothing when no variable names the directory. */
function below(directory: string | undefined, paths: readonly string[]): string[] {
  return directory ? paths.map((path) => `${directory}/${path}`) : [];
}
