/**
 * The form of an entry in the table of operations (`operations.ts`), and the schemas that several entries share.
 *
 * Requests are strict: the daemon refuses a field that is not declared, and an array in place of an object. So nothing that a
 * client asks for is silently dropped. Results are plain `v.object`s: a client ignores the fields of a newer daemon.
 */
import * as v from "valibot";
import { PROTOCOL_VERSION } from "./version.ts";

/**
 * What follows the reply line: nothing (`reply`), lines of JSON (`lines`), or frames (`frames`, see `frames.ts`). A stream
 * ends when its operation ends, or when the client closes its end.
 */
export type OperationKind = "reply" | "lines" | "frames";

/** One operation, as it is declared. */
export interface OperationDeclaration {
  /** One sentence. */
  readonly description: string;
  readonly kind: OperationKind;
  /** For the HTTP gateway. A parameter of the path (`:task`) is the request field of that name. */
  readonly http: { readonly method: "GET" | "POST"; readonly path: `/v1/${string}` };
  /** The fields beside `v` and `op`. */
  readonly request: v.ObjectEntries;
  /** The `result` of the reply line. */
  readonly result: v.GenericSchema;
}

/** The table with the schema of the whole request in place of its fields. */
export type Operations<Table extends Record<string, OperationDeclaration>> = {
  readonly [Op in keyof Table & string]: Omit<Table[Op], "request"> & {
    readonly request: v.StrictObjectSchema<RequestEntries<Op> & Table[Op]["request"], undefined>;
  };
};

interface RequestEntries<Op extends string> {
  readonly v: v.LiteralSchema<typeof PROTOCOL_VERSION, undefined>;
  readonly op: v.LiteralSchema<Op, undefined>;
}

/** Declares the operations of one subject. */
export function declareOperations<const Table extends Record<string, OperationDeclaration>>(
  table: Table,
): Operations<Table> {
  const declared = Object.entries(table).map(([op, { request, ...rest }]) => {
    return [op, {
      ...rest,
      request: strictObject({ v: v.literal(PROTOCOL_VERSION), op: v.literal(op), ...request }),
    }];
  });
  return Object.fromEntries(declared) as Operations<Table>;
}

/** An object with these fields and no others. */
export function strictObject<const Fields extends v.ObjectEntries>(
  fields: Fields,
): v.StrictObjectSchema<Fields, undefined> {
  return refusingArrays(v.strictObject(fields));
}

/** An object whose keys the client chooses, and whose values are strings. */
export function stringRecord<Key extends v.GenericSchema<string, string>>(
  key: Key,
): v.RecordSchema<Key, v.StringSchema<undefined>, undefined> {
  return refusingArrays(v.record(key, v.string()));
}

const UNSAFE_KEYS = ["__proto__", "prototype", "constructor"];

/**
 * valibot accepts an array as an object with the keys 0, 1, …: `["FOO=1"]` would set the variable `0`. It also drops the keys
 * `__proto__`, `prototype` and `constructor` of a record without an issue.
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

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/** A point in time as RFC 3339, in results. */
export const rfc3339 = v.pipe(v.string(), v.isoTimestamp());
/** A point in time in milliseconds since the Unix epoch, in requests. */
export const epochMs = v.pipe(v.number(), v.finite(), v.minValue(0));
export const count = v.pipe(v.number(), v.integer(), v.minValue(0));
export const atLeastOne = v.pipe(v.number(), v.integer(), v.minValue(1));
/** A name or an id, 1 to 256 UTF-16 code units. */
export const name = v.pipe(v.string(), v.minLength(1), v.maxLength(256));

/** Labels of a container that a client asks for. */
export const labelsSchema = stringRecord(
  v.pipe(
    v.string(),
    v.regex(/^(?!apex\.)/, `is reserved for apex, as is every label that begins with "apex."`),
  ),
);

const port = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535));

/** Ports of a container that are published on the engine's host. */
export const portsSchema = v.array(strictObject({
  containerPort: port,
  protocol: v.optional(v.picklist(["tcp", "udp", "sctp"]), "tcp"),
  /** Chosen by the engine by default. */
  hostPort: v.optional(port),
  /** All addresses by default. */
  hostIp: v.optional(name),
}));

export type PortRequest = v.InferOutput<typeof portsSchema>[number];
