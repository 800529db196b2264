/**
 * What schemas of requests are made of. They are strict: a field that is not declared is refused, and so is an array where
 * an object belongs. Results, which clients read, are plain `v.object`s and ignore the fields of a newer daemon.
 */
import * as v from "valibot";
import { PROTOCOL_VERSION } from "./version.ts";

/** The schema of one operation's request: `v`, `op`, and the fields of its own. */
export function requestSchema<const Op extends string, const Fields extends v.ObjectEntries>(
  op: Op,
  fields: Fields,
): v.StrictObjectSchema<RequestEntries<Op> & Fields, undefined> {
  return strictObject({ v: v.literal(PROTOCOL_VERSION), op: v.literal(op), ...fields });
}

interface RequestEntries<Op extends string> {
  readonly v: v.LiteralSchema<typeof PROTOCOL_VERSION, undefined>;
  readonly op: v.LiteralSchema<Op, undefined>;
}

/** An object with these fields and no others. */
export function strictObject<const Fields extends v.ObjectEntries>(
  fields: Fields,
): v.StrictObjectSchema<Fields, undefined> {
  return refusingArrays(v.strictObject(fields));
}

/** An object whose keys are the client's own, and whose values are strings. */
export function stringRecord<Key extends v.GenericSchema<string, string>>(
  key: Key,
): v.RecordSchema<Key, v.StringSchema<undefined>, undefined> {
  return refusingArrays(v.record(key, v.string()));
}

/**
 * valibot takes an array for an object with the keys 0, 1, …: `["FOO=1"]` would set the variable `0`. And it leaves the keys
 * `__proto__`, `prototype` and `constructor` out of a record without a word.
 */
function refusingArrays<Schema extends v.GenericSchema>(schema: Schema): Schema {
  return {
    ...schema,
    "~run"(dataset, config) {
      const input = dataset.value;
      if (Array.isArray(input)) {
        v._addIssue(schema, "type", dataset, config);
        return dataset as ReturnType<Schema["~run"]>;
      }
      const output = schema["~run"](dataset, config);
      if (schema.type === "record") {
        for (const key of UNSAFE_KEYS.filter((key) => isObject(input) && Object.hasOwn(input, key))) {
          const at: v.ObjectPathItem = { type: "object", origin: "key", input: {}, key, value: undefined };
          v._addIssue(schema, "key", output, config, { input: key, expected: "never", path: [at] });
        }
      }
      return output;
    },
  };
}

const UNSAFE_KEYS = ["__proto__", "prototype", "constructor"];

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/** Fields of a container that tasks and sessions both have. */

const port = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535));

export const labelsSchema = stringRecord(
  v.pipe(
    v.string(),
    v.regex(/^(?!apex\.)/, `is reserved for apex, as is every label that begins with "apex."`),
  ),
);

/** Ports of the container that are reachable at the engine's machine. */
export const portsSchema = v.array(strictObject({
  containerPort: port,
  protocol: v.optional(v.picklist(["tcp", "udp", "sctp"]), "tcp"),
  /** Absent: the engine chooses one. */
  hostPort: v.optional(port),
  /** Absent: all addresses. */
  hostIp: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(256))),
}));

export type PortRequest = v.InferOutput<typeof portsSchema>[number];
