/** Parses and validates `config.toml`. */
import { parse, TomlError } from "smol-toml";
import * as v from "valibot";
import { ApexError } from "./apex_error.ts";
import { parseByteSize } from "./byte_size.ts";
import { closestName } from "./closest_name.ts";
import { parseDuration } from "./durations.ts";
import { ENGINE_CHOICES, isEngineChoice, LOG_LEVELS } from "./setting_values.ts";

/**
 * Returns the settings in the text of a configuration file, with the file's keys; durations are in milliseconds.
 * @param path for messages
 * @throws {ApexError} `usage`, in one line that names the file and the key
 */
export function parseConfigFile(text: string, path: string): ConfigFile {
  const table = parseToml(text, path);
  const unknown = findUnknownKey(table, fileSchema);
  if (unknown !== undefined) throw new ApexError("usage", `${path}: ${unknown}`);
  const parsed = v.safeParse(fileSchema, table);
  if (parsed.success) return parsed.output;
  const issue = parsed.issues[0];
  const key = v.getDotPath(issue) ?? "";
  throw new ApexError("usage", `${path}: ${key} ${issue.message}, not ${JSON.stringify(issue.input)}`);
}

const wholeNumber = v.pipe(
  v.number("must be a number"),
  v.integer("must be a whole number"),
  v.minValue(1, "must be at least 1"),
  v.maxValue(1_000_000, "must be at most 1000000"),
);

const boolean = v.boolean("must be true or false");

/** The longest delay of a timer, milliseconds. */
const MAX_DURATION_MS = 2 ** 31 - 1;
const DURATION_EXAMPLE = `a duration such as "10s" or "1m30s"`;
const SIZE_EXAMPLE = `a size such as "256m" or "1g"`;
/** For a duration that is compared with a clock, without a timer. */
const MAX_AGE_MS = parseDuration("36500d");

/** @param least the shortest valid duration; `mostMs` the longest, in milliseconds */
function duration(least = "0s", { mostMs = MAX_DURATION_MS } = {}) {
  return v.pipe(
    v.string(`must be ${DURATION_EXAMPLE}`),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      const ms = numberOf(dataset.value, parseDuration);
      if (ms !== undefined && ms >= parseDuration(least) && ms <= mostMs) return ms;
      const isShort = ms !== undefined && ms <= mostMs;
      addIssue({ message: `must be ${isShort ? `at least "${least}"` : DURATION_EXAMPLE}` });
      return NEVER;
    }),
  );
}

/** @param least the smallest valid size */
function byteSize(least: string) {
  return v.pipe(
    v.string(`must be ${SIZE_EXAMPLE}`),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      const bytes = numberOf(dataset.value, parseByteSize);
      if (bytes !== undefined && bytes >= parseByteSize(least)) return bytes;
      addIssue({ message: `must be ${bytes === undefined ? SIZE_EXAMPLE : `at least "${least}"`}` });
      return NEVER;
    }),
  );
}

const share = v.pipe(
  v.number("must be a number"),
  v.gtValue(0, "must be above 0"),
  v.maxValue(1, "must be at most 1"),
);

const image = v.pipe(v.string("must be a string"), v.minLength(1, "must name an image"));

const WORDS = `must be a list of words, such as ["bash", "-l"]`;

/** A smaller limit would leave no room for the data beside the events. */
const journalTable = v.object({
  "max_age": v.optional(duration("1m", { mostMs: MAX_AGE_MS })),
  "max_bytes": v.optional(byteSize("4m")),
});

const journalSwitch = v.boolean("must be true, false or a table");

const fileSchema = v.object({
  "engine": v.optional(
    v.pipe(v.string("must be a string"), v.check(isEngineChoice, `must be ${ENGINE_CHOICES}`)),
  ),
  "log_level": v.optional(v.picklist(LOG_LEVELS, `must be one of ${LOG_LEVELS.join(", ")}`)),
  "max_subscribers": v.optional(wholeNumber),
  "max_control_connections": v.optional(wholeNumber),
  "max_streams": v.optional(wholeNumber),
  "image": v.optional(image),
  "max_concurrent_tasks": v.optional(wholeNumber),
  "stop_timeout": v.optional(duration()),
  "daemonize": v.optional(boolean),
  "journal": v.optional(v.lazy((value) => isTable(value) ? journalTable : journalSwitch)),
  "health_watch": v.optional(
    v.object(
      {
        "enabled": v.optional(boolean),
        "interval": v.optional(duration("1s")),
        "memory_share": v.optional(share),
        "pids_share": v.optional(share),
        "failures": v.optional(wholeNumber),
      },
      "must be a table",
    ),
  ),
  "tasks": v.optional(
    v.object(
      {
        "keep_output": v.optional(byteSize("0")),
        "keep_output_total": v.optional(byteSize("0")),
      },
      "must be a table",
    ),
  ),
  "session": v.optional(
    v.object(
      {
        "image": v.optional(image),
        "command": v.optional(
          v.pipe(
            v.array(v.string(WORDS), WORDS),
            v.minLength(1, WORDS),
          ),
        ),
        "restore": v.optional(
          v.pipe(
            v.string("must be a string"),
            v.regex(/^(screen|none|lines=[1-9]\d{0,5})$/, `must be "screen", "lines=N" or "none"`),
          ),
        ),
        "scrollback": v.optional(wholeNumber),
        "kill_grace": v.optional(duration()),
        "detach_keys": v.optional(v.string("must be a string")),
      },
      "must be a table",
    ),
  ),
});

export type ConfigFile = v.InferOutput<typeof fileSchema>;

function numberOf(text: string, parse: (text: string) => number): number | undefined {
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof ApexError && error.code === "usage") return undefined;
    throw error;
  }
}

function parseToml(text: string, path: string): Record<string, unknown> {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // The first line has the reason; the others draw the position, which line and column give as well.
    const what = error.message.split("\n", 1)[0] ?? "";
    throw new ApexError("usage", `${path}:${error.line}:${error.column}: ${what}`, { cause: error });
  }
}

/** The part of a schema that lists the keys of a table. */
interface Entries {
  readonly entries: Readonly<Record<string, { readonly type: string; readonly wrapped?: unknown }>>;
}

function findUnknownKey(table: object, schema: Entries, parent = ""): string | undefined {
  for (const [key, value] of Object.entries(table)) {
    const entry = Object.hasOwn(schema.entries, key) ? schema.entries[key] : undefined;
    if (entry === undefined) return unknownKey(key, { parent, known: Object.keys(schema.entries) });
    const inner = hasGetter(entry.wrapped) ? entry.wrapped.getter(value) : entry.wrapped;
    if (!isTable(value) || !hasEntries(inner)) continue;
    const unknown = findUnknownKey(value, inner, `${parent}${key}.`);
    if (unknown !== undefined) return unknown;
  }
}

function isTable(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** Whether the schema depends on the value. */
function hasGetter(schema: unknown): schema is { readonly getter: (value: unknown) => unknown } {
  return typeof schema === "object" && schema !== null && "getter" in schema;
}

function hasEntries(schema: unknown): schema is Entries {
  return typeof schema === "object" && schema !== null && "entries" in schema;
}

function unknownKey(key: string, { parent, known }: { parent: string; known: readonly string[] }): string {
  const meant = closestName(key, known);
  const hint = meant ? `did you mean ${JSON.stringify(parent + meant)}?` : `valid keys: ${known.join(", ")}`;
  return `unknown key ${JSON.stringify(parent + key)} (${hint})`;
}
