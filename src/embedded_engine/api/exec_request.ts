/** The bodies of `POST /containers/{id}/exec` and `POST /exec/{id}/start`. */
import * as v from "valibot";
import { HttpError } from "../http/http_error.ts";
import { flag, integer, parseBody, strings, text, words } from "../spec/body_schema.ts";
import { checkExecOptions } from "../spec/unsupported_options.ts";
import { consoleSize, type TerminalSize } from "../terminals/terminal_size.ts";

const createSchema = v.looseObject({
  Cmd: words,
  Env: strings,
  WorkingDir: text,
  User: text,
  Tty: flag,
  AttachStdin: flag,
  AttachStdout: flag,
  AttachStderr: flag,
  DetachKeys: text,
  ConsoleSize: v.nullish(v.array(integer)),
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
  /** Empty, or one that means the user of the engine. */
  readonly user: string;
  readonly tty: boolean;
  /** Of its terminal at first. */
  readonly size: TerminalSize;
  readonly attachStdin: boolean;
  readonly attachStdout: boolean;
  readonly attachStderr: boolean;
  readonly detachKeys: string;
}

/** @throws {HttpError} 400 with Docker's words, and for each option that this engine cannot honour */
export function parseExecCreate(body: unknown): ExecSpec {
  const create = parseBody(createSchema, body);
  const command = create.Cmd ?? [];
  if (command.length === 0) throw new HttpError(400, "No exec command specified");
  const badVariable = create.Env?.find((variable) => variable === "" || variable.startsWith("="));
  if (badVariable !== undefined) throw new HttpError(400, `invalid environment variable: ${badVariable}`);
  checkExecOptions(create);
  return {
    command,
    env: create.Env ?? [],
    workingDir: create.WorkingDir ?? "",
    user: create.User ?? "",
    tty: create.Tty ?? false,
    size: consoleSize(create.ConsoleSize),
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
