import { ContextKey, type Context } from "./context.js";

/** One method per level. The fields come first, as in pino, so that a pino logger can be used. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Discards all messages. */
export const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** The logger of elements, for background work that no span shows. */
export const logger = new ContextKey<Logger>("logger");

/** The logger of a call. Default: {@link silent}. */
export function log(ctx: Context): Logger {
  return ctx.get(logger) ?? silent;
}
