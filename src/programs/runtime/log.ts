import { pino, type Logger as PinoLogger } from "pino";
import { explain, type TraceHook, traceChanges } from "../../core/index.js";
import type { CommonConfig } from "../config/options.js";
import { textLine } from "./text-line.js";

/** Maximum length of the unwritten log while stderr cannot be written. Further lines are dropped. */
const MAX_UNWRITTEN_LENGTH = 1_048_576;

/**
 * The logger of a program. It writes to stderr, because stdout carries the ready line and events. Terminals
 * get text, other outputs one JSON object per line. Errors include their stack only at trace level.
 */
export function programLogger({
  name,
  logLevel,
  logFormat = "auto",
}: Pick<CommonConfig, "name" | "logLevel" | "logFormat">): PinoLogger {
  const stderr = pino.destination({ dest: 2, sync: true, maxLength: MAX_UNWRITTEN_LENGTH });
  // A log that cannot be written (a full disk, for example) must not end a program. The next line is tried
  // again.
  stderr.on("error", () => {});
  const isText = logFormat === "text" || (logFormat === "auto" && process.stderr.isTTY);
  const colors = process.stderr.isTTY && !process.env.NO_COLOR;
  const destination = isText
    ? { write: (line: string) => void stderr.write(textLine(line, { colors })) }
    : stderr;
  const logger: PinoLogger = pino(
    {
      name,
      level: logLevel,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: {
        err: (error: unknown) =>
          logger.level === "trace" && error instanceof Error
            ? pino.stdSerializers.errWithCause(error)
            : explain(error),
      },
    },
    destination,
  );
  return logger;
}

/** Logs what each element changes, while the logger's level is debug or trace. */
export function traceWhenVerbose(logger: PinoLogger): TraceHook {
  return Object.assign(traceChanges(logger), { isEnabled: () => logger.isLevelEnabled("debug") });
}
