import { wireEventSchemas } from "../../protocol/wire_event.ts";
import type { FilterFlags } from "../args/event_flags.ts";
import type { CliContext } from "../cli_context.ts";
import { printable } from "../output/table.ts";

/** Warns of types that this version does not know: a newer daemon may, but a typo is likelier. */
export async function tellOfUnknownTypes({ type = [] }: FilterFlags, { stderr }: CliContext): Promise<void> {
  const known = Object.keys(wireEventSchemas);
  for (const glob of type) {
    const parts = glob.split(/\*+/).map((text) => text.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
    const pattern = new RegExp(`^${parts.join(".*")}$`);
    if (known.some((name) => pattern.test(name))) continue;
    await stderr.print(
      `apex: no known event type matches ${printable(JSON.stringify(glob))} (see EVENTS.md)`,
    );
  }
}
