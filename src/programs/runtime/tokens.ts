import type { InjectionToken } from "tsyringe";
import type { Clock, Elements, Remotes, Logger, NetworkService, TraceHook } from "../../core/index.js";
import type { Identity } from "../../identity/index.js";
import type { InboundLimits } from "../../inbound/index.js";

/** Creates an injection token that keeps its type: an annotated `symbol` resolves to `unknown`. */
export function token<T>(name: string): InjectionToken<T> {
  return Symbol(name) as InjectionToken<T>;
}

/** The injection tokens that programs resolve. Register another value to change a program. */
export const Tokens = {
  clock: token<Clock>("clock"),
  logger: token<Logger>("logger"),
  identity: token<Identity>("identity"),
  /** Limits on what clients may occupy. */
  limits: token<InboundLimits>("limits"),
  /** Connects to other processes. */
  remotes: token<Remotes>("remotes"),
  /** The lifetime of the program. */
  until: token<AbortSignal>("until"),
  /** Observes every call of every element. Undefined if not in use. */
  trace: token<TraceHook | undefined>("trace"),
  /** Additional elements: before the program's own elements in a server, after them in a client. */
  extraElements: token<Elements<NetworkService>>("extra-elements"),
} as const;
