import { PROTOCOL_VERSION, VERSION } from "../../protocol/version.ts";
import type { CliContext } from "../cli_context.ts";

/** `apex version`: of this program, whether or not a daemon runs. */
export async function version({ stdout }: CliContext, { json }: { readonly json: boolean }): Promise<void> {
  if (!json) return await stdout.print(`apex ${VERSION}`);
  const { os, arch } = Deno.build;
  const facts = { version: VERSION, protocol: PROTOCOL_VERSION, deno: Deno.version.deno, os, arch };
  await stdout.print(JSON.stringify(facts, null, 2));
}
