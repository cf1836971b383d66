import type { InjectionToken } from "tsyringe";
import type { Clock, Elements, Remotes, Logger, NetworkService, TraceHook } from "../../core/index.js";
import type { Identity } from "../../identity/index.js";
import type { InboundLimits } from "../../inbound/index.js";

/** An injection token that keeps its type: an annotated `symbol` resolves to `unknown`. */
export function token<T>(name: string): InjectionToken<T> {
  return Symbol(name) as InjectionToken<T>;
}

/** What the composition roots resolve. Register any of them anew to change a program. */
export const Tokens = {
  clock: token<Clock>("clock"),
  logger: token<Logger>("logger"),
  identity: token<Identity>("identity"),
  /** How much clients may occupy. */
  limits: token<InboundLimits>("limits"),
  /** Leads to other processes. */
  remotes: token<Remotes>("remotes"),
  /** The program's life. */
  until: token<AbortSignal>("until"),
  /** Sees every call of every element; none when nobody looks. */
  trace: token<TraceHook | undefined>("trace"),
  /** Elements of one's own: in front of the program's elements of a server, behind those of a client. */
  extraElements: token<Elements<NetworkService>>("extra-elements"),
} as const;
