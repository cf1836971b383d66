import { ContextKey, type Context } from "./context.js";

/** One method per level; fields first, as pino has it, so that a pino logger fits. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Says nothing. */
export const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** Where elements log what no span can show: things that begin in the background. */
export const logger = new ContextKey<Logger>("logger");

/** The logger of a call; silent when none was set. */
export function log(ctx: Context): Logger {
  return ctx.get(logger) ?? silent;
}
