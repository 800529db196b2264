/**
 * The log of a long-running process (the daemon, the embedded engine): one line per message on stderr, which is the
 * terminal, the journal or a log file. Only these processes import it, so that the other verbs do not load LogTape.
 */
import {
  configureSync,
  getLogger,
  getTextFormatter,
  type LogLevel as LogtapeLevel,
  resetSync,
} from "@logtape/logtape";
import type { Logger } from "./logger.ts";
import type { LogLevel } from "./setting_values.ts";

const LEVELS: Record<LogLevel, LogtapeLevel> = {
  debug: "debug",
  info: "info",
  warn: "warning",
  error: "error",
};

/** Starts logging, at most once at a time in a process; disposal ends it. */
export function openProcessLog(level: LogLevel): Logger & Disposable {
  const format = getTextFormatter({ timestamp: "rfc3339", level: "full", category: () => "apex" });
  const encoder = new TextEncoder();
  configureSync({
    sinks: { stderr: (record) => writeWhole(encoder.encode(format(record))) },
    loggers: [
      { category: "apex", lowestLevel: LEVELS[level], sinks: ["stderr"] },
      { category: ["logtape", "meta"], lowestLevel: "error", sinks: ["stderr"] },
    ],
  });
  const logger = getLogger("apex");
  return {
    debug: (message) => logger.debug(literal(message)),
    info: (message) => logger.info(literal(message)),
    warn: (message) => logger.warn(literal(message)),
    error: (message) => logger.error(literal(message)),
    [Symbol.dispose]: () => resetSync(),
  };
}

/** LogTape would read braces in a message as placeholders. */
function literal(message: string): string {
  return message.replaceAll("{", "{{").replaceAll("}", "}}");
}

/** A log that cannot be written (no terminal, a full disk) must not end the process. */
function writeWhole(bytes: Uint8Array): void {
  try {
    for (let written = 0; written < bytes.length;) written += Deno.stderr.writeSync(bytes.subarray(written));
  } catch (error) {
    if (!(error instanceof Error)) throw error;
  }
}
