import { pino, type Logger as PinoLogger } from "pino";
import { explain, type TraceHook, traceChanges } from "../../core/index.js";
import type { CommonConfig } from "../config/options.js";
import { textLine } from "./text-line.js";

/** How much of the log is kept while stderr cannot be written. Lines beyond that are dropped. */
const MAX_UNWRITTEN_LENGTH = 1_048_576;

/**
 * The logger of a program. It writes to stderr: stdout is for the ready line and for events. Terminals get text,
 * everything else one JSON object per line. Errors carry their stack at trace level only.
 */
export function programLogger({
  name,
  logLevel,
  logFormat = "auto",
}: Pick<CommonConfig, "name" | "logLevel" | "logFormat">): PinoLogger {
  const stderr = pino.destination({ dest: 2, sync: true, maxLength: MAX_UNWRITTEN_LENGTH });
  // A log that cannot be written, because its disk is full say, ends no program. The next line is tried again.
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

/** Logs what each element changes, whenever the logger's level is debug or trace at that moment. */
export function traceWhenVerbose(logger: PinoLogger): TraceHook {
  const changes = traceChanges(logger);
  return (call) => (logger.isLevelEnabled("debug") ? changes(call) : call.proceed(call.ctx));
}
