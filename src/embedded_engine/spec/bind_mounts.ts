/**
 * `HostConfig.Binds` and `.Mounts`, checked as Docker checks them. This engine mounts nothing: a container has this
 * machine's files at their own paths. So a bind must have the same source and target, and volumes and tmpfs are refused.
 */
import { isAbsolute, resolve } from "@std/path/posix";
import * as v from "valibot";
import { messageOf } from "../../platform/apex_error.ts";
import { HttpError } from "../http/http_message.ts";
import { flag, text } from "./body_schema.ts";
import { cannot, checkMountOptions } from "./unsupported_options.ts";

export const mountSchema = v.looseObject({ Type: text, Source: text, Target: text, ReadOnly: flag });

export interface MountsBody {
  readonly Binds?: readonly string[] | null | undefined;
  readonly Mounts?: readonly v.InferOutput<typeof mountSchema>[] | null | undefined;
}

/** A directory or file of this machine, at its own path in the container. */
export interface BindMount {
  readonly source: string;
  /** The form `source:target` was used: a missing source is created as a directory when the container starts. */
  readonly createsSource: boolean;
}

/** A mount as requested, in a form that Docker accepts. */
interface AskedMount extends BindMount {
  readonly type: "bind" | "volume" | "tmpfs";
  readonly target: string;
  readonly readOnly: boolean;
  /** The field of the request. */
  readonly field: string;
}

/** @throws {HttpError} 400 or 500 with Docker's message; 400 for a mount that is impossible here */
export function parseMounts(host: MountsBody): BindMount[] {
  const mounts = [...(host.Binds ?? []).map(parseBind), ...(host.Mounts ?? []).map(parseMount)];
  const targets = new Set<string>();
  for (const { target } of mounts) {
    if (targets.has(target)) throw new HttpError(400, `Duplicate mount point: ${target}`);
    targets.add(target);
  }
  for (const mount of mounts) checkPossible(mount);
  return mounts;
}

function checkPossible({ type, source, target, readOnly, field }: AskedMount): void {
  if (type !== "bind") throw cannot(`mount a ${type} at ${target} (${field})`);
  if (resolve(source) !== resolve(target)) {
    throw cannot(`mount ${source} at ${target}, a path other than its own (${field})`);
  }
  if (readOnly) throw cannot(`make ${target} read-only (${field})`);
}

/**
 * Checks that the source of each bind exists, as Docker does when a container is created, and again when it starts.
 * @param options `make`: creates missing sources of binds in the form `source:target`; only at a start
 * @throws {HttpError} 400 for a missing source that is not created, 500 when creating it fails
 */
export async function checkSources(
  mounts: readonly BindMount[],
  options: { readonly make: boolean },
): Promise<void> {
  for (const { source, createsSource } of mounts) {
    try {
      await Deno.stat(source);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory)) throw error;
      if (!createsSource) throw invalid("bind", `bind source path does not exist: ${source}`);
      if (options.make) await makeSource(source);
    }
  }
}

async function makeSource(source: string): Promise<void> {
  try {
    await Deno.mkdir(source, { recursive: true });
  } catch (cause) {
    throw new HttpError(
      500,
      `error while creating mount source path '${source}': mkdir ${source}: ${messageOf(cause)}`,
      { cause },
    );
  }
}

function parseBind(bind: string): AskedMount {
  const [source = "", target = "", mode = "", ...more] = bind.includes(":") ? bind.split(":") : ["", bind];
  const isAnonymous = !bind.includes(":");
  const refused = (detail = "") => new HttpError(500, `invalid volume specification: '${bind}'${detail}`);
  if (target === "" || more.length > 0 || (source === "" && !isAnonymous)) throw refused();
  const unknownMode = mode.split(",").find((word) => !BIND_MODES.has(word));
  if (unknownMode !== undefined) throw new HttpError(500, `invalid mode: ${mode}`);
  const type = isAbsolute(source) ? "bind" : "volume";
  const wrongTarget = problemOfTarget(target);
  if (wrongTarget !== undefined) throw refused(`: invalid mount config for type "${type}": ${wrongTarget}`);
  if (type === "volume" && !isAnonymous) checkVolumeName(source);
  return {
    type,
    source,
    target,
    readOnly: mode.split(",").includes("ro"),
    createsSource: type === "bind",
    field: "HostConfig.Binds",
  };
}

function parseMount(mount: v.InferOutput<typeof mountSchema>): AskedMount {
  const { Type: type, Source: source, Target: target, ReadOnly: readOnly, ...options } = mount;
  if (type !== "bind" && type !== "volume" && type !== "tmpfs") {
    throw invalid(type ?? "", "mount type unknown");
  }
  if (!target) throw invalid(type, "field Target must not be empty");
  const wrongTarget = problemOfTarget(target);
  if (wrongTarget !== undefined) throw invalid(type, wrongTarget);
  if (type === "bind") {
    if (!source) throw invalid(type, "field Source must not be empty");
    if (!isAbsolute(source)) throw invalid(type, notAbsolute(source));
  }
  if (type === "volume" && source) checkVolumeName(source);
  checkMountOptions(options);
  return {
    type,
    source: source ?? "",
    target,
    readOnly: readOnly ?? false,
    createsSource: false,
    field: "HostConfig.Mounts",
  };
}

function problemOfTarget(target: string): string | undefined {
  if (!isAbsolute(target)) return notAbsolute(target);
  return /^\/+$/.test(target) ? "invalid specification: destination can't be '/'" : undefined;
}

function notAbsolute(path: string): string {
  return `invalid mount path: '${path}' mount path must be absolute`;
}

function checkVolumeName(name: string): void {
  if (name.length < 2) {
    throw new HttpError(
      400,
      `create ${name}: volume name is too short, names should be at least two alphanumeric characters`,
    );
  }
  if (/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(name)) return;
  throw new HttpError(
    400,
    `create ${name}: ${JSON.stringify(name)} includes invalid characters for a local volume name, only ` +
      `"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
  );
}

function invalid(type: string, detail: string): HttpError {
  return new HttpError(400, `invalid mount config for type "${type}": ${detail}`);
}

// deno-fmt-ignore
const BIND_MODES = new Set([
  "", "ro", "rw", "z", "Z", "nocopy", "consistent", "cached", "delegated",
  "private", "rprivate", "shared", "rshared", "slave", "rslave",
]);
