/**
 * Docker contexts, as the Docker CLI stores them: `currentContext` in `config.json`, and each context's endpoint in
 * `contexts/meta/<sha256 of its name>/meta.json`, both under `$DOCKER_CONFIG` or `~/.docker`. apex only reads these
 * files.
 */
import { encodeHex } from "@std/encoding/hex";
import { ApexError, messageOf } from "../../platform/apex_error.ts";

type Env = (name: string) => string | undefined;

export interface DockerContext {
  readonly name: string;
  /** What selects the context: `DOCKER_CONTEXT`, or the path of the config file. */
  readonly chosenBy: string;
}

/**
 * Returns the current context, or `undefined` for the built-in one named `default`.
 * @throws {ApexError} `usage` when Docker's config file cannot be read
 */
export async function currentDockerContext(env: Env): Promise<DockerContext | undefined> {
  const fromEnv = env("DOCKER_CONTEXT");
  if (fromEnv) return fromEnv === "default" ? undefined : { name: fromEnv, chosenBy: "DOCKER_CONTEXT" };
  const directory = dockerConfigDirectory(env);
  if (directory === undefined) return undefined;
  const path = `${directory}/config.json`;
  const config = await readJson(path);
  const name = config?.currentContext;
  if (typeof name !== "string" || name === "" || name === "default") return undefined;
  return { name, chosenBy: path };
}

/**
 * Returns the endpoint of a context as configured, for example `unix:///run/user/1000/docker.sock` or `ssh://host`.
 * @throws {ApexError} `usage` when the context does not exist or has no endpoint for Docker
 */
export async function dockerContextHost({ name, chosenBy }: DockerContext, env: Env): Promise<string> {
  const directory = dockerConfigDirectory(env);
  const path = `${directory}/contexts/meta/${await sha256Hex(name)}/meta.json`;
  const meta = directory === undefined ? undefined : await readJson(path);
  if (meta === undefined) {
    throw new ApexError(
      "usage",
      `${chosenBy} names the Docker context "${name}", but there is no such context (try: docker context ls)`,
    );
  }
  const host = child(child(meta.Endpoints, "docker"), "Host");
  if (typeof host !== "string" || host === "") {
    throw new ApexError("usage", `the Docker context "${name}" (${path}) has no endpoint for Docker`);
  }
  return host;
}

function dockerConfigDirectory(env: Env): string | undefined {
  const home = env("HOME");
  return env("DOCKER_CONFIG") || (home ? `${home}/.docker` : undefined);
}

/** Reads the object in a JSON file; `undefined` when the file does not exist. */
async function readJson(path: string): Promise<Record<string, unknown> | undefined> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return undefined;
    throw new ApexError("usage", `cannot read ${path}: ${messageOf(error)}`, { cause: error });
  }
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
  } catch (error) {
    throw new ApexError("usage", `${path} is not valid JSON (repair it, or set DOCKER_HOST)`, {
      cause: error,
    });
  }
}

function child(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

async function sha256Hex(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return encodeHex(digest);
}
