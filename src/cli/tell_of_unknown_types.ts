import { wireEventSchemas } from "../protocol/wire_event.ts";
import type { CliContext } from "./cli_context.ts";
import type { FilterFlags } from "./event_flags.ts";
import { printable } from "./table.ts";

/** Tells of those types that no event of this version has: a newer daemon may know them, a slip of the pen is likelier. */
export async function tellOfUnknownTypes({ type = [] }: FilterFlags, { stderr }: CliContext): Promise<void> {
  const known = Object.keys(wireEventSchemas);
  for (const glob of type) {
    const parts = glob.split(/\*+/).map((text) => text.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
    const pattern = new RegExp(`^${parts.join(".*")}$`);
    if (known.some((name) => pattern.test(name))) continue;
    await stderr.print(
      `apex: no event that is known here has a type like ${printable(glob)} (see EVENTS.md)`,
    );
  }
}
