/** Fields of a container that tasks and sessions both have. */
import * as v from "valibot";
import { strictObject, stringRecord } from "./request_schema.ts";

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
