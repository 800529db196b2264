import type { EngineInfo, EngineKind } from "../engine_types.ts";

/**
 * What tells one engine from another across restarts: its `ID`. Podman's compatible API makes a new `ID` for each request;
 * its host and the directory of its containers stand for it.
 */
export function engineIdentity(kind: EngineKind, info: EngineInfo): string {
  if (kind !== "podman") return info.ID;
  return `podman:${info.Name ?? ""}:${info.DockerRootDir ?? ""}`;
}
