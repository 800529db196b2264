/** The bodies of `POST /containers/{id}/exec` and `POST /exec/{id}/start`. */
import * as v from "valibot";
import { flag, parseBody, strings, text, words } from "./body_schema.ts";
import { HttpError } from "./http_error.ts";

const createSchema = v.looseObject({
  Cmd: words,
  Env: strings,
  WorkingDir: text,
  User: text,
  Privileged: flag,
  Tty: flag,
  AttachStdin: flag,
  AttachStdout: flag,
  AttachStderr: flag,
  DetachKeys: text,
});

const startSchema = v.looseObject({ Detach: flag, Tty: flag });

/** What a command beside a container's own was asked to be. */
export interface ExecSpec {
  /** At least one word. */
  readonly command: readonly string[];
  /** Added to the container's own. */
  readonly env: readonly string[];
  /** Empty: the container's own. */
  readonly workingDir: string;
  readonly user: string;
  readonly privileged: boolean;
  readonly tty: boolean;
  readonly attachStdin: boolean;
  readonly attachStdout: boolean;
  readonly attachStderr: boolean;
  readonly detachKeys: string;
}

/** @throws {HttpError} 400 with Docker's words */
export function parseExecCreate(body: unknown): ExecSpec {
  const create = parseBody(createSchema, body);
  const command = create.Cmd ?? [];
  if (command.length === 0) throw new HttpError(400, "No exec command specified");
  const badVariable = create.Env?.find((variable) => variable === "" || variable.startsWith("="));
  if (badVariable !== undefined) throw new HttpError(400, `invalid environment variable: ${badVariable}`);
  return {
    command,
    env: create.Env ?? [],
    workingDir: create.WorkingDir ?? "",
    user: create.User ?? "",
    privileged: create.Privileged ?? false,
    tty: create.Tty ?? false,
    attachStdin: create.AttachStdin ?? false,
    attachStdout: create.AttachStdout ?? false,
    attachStderr: create.AttachStderr ?? false,
    detachKeys: create.DetachKeys ?? "",
  };
}

/** Whether the client wants to have nothing of it but that it runs. */
export function parseExecStart(body: unknown): { detach: boolean } {
  return { detach: parseBody(startSchema, body).Detach ?? false };
}
