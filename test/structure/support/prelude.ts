/**
 * The names that examples in doc comments may use without an import: what every program has at hand. All other names
 * are imported or declared in the example itself.
 */
import type { NetworkServiceRequest } from "../../../src/api/index.js";
import type {
  Clock,
  ConnectionEvents,
  Context,
  EndpointRegistry,
  Logger,
  NetworkService,
  NetworkServiceElement,
  NetworkServiceRegistry,
  Remotes,
} from "../../../src/core/index.js";
import type { Identity, TokenGenerator, X509Source } from "../../../src/identity/index.js";
import type { NetworkNamespace } from "../../../src/linux/index.js";

// The program
export declare const name: string;
/** Its own address. */
export declare const url: string;
/** The address of its manager. */
export declare const connectTo: string;
/** Its life. */
export declare const until: AbortSignal;
export declare const identity: Identity;
export declare const source: X509Source;
export declare const tokens: TokenGenerator;
export declare const remotes: Remotes;
export declare const clock: Clock;
export declare const logger: Logger;
export declare const prefixes: readonly string[];

// A call
export declare const ctx: Context;
export declare const request: NetworkServiceRequest;
export declare const next: NetworkService;
export declare const events: ConnectionEvents;

// Its surroundings
export declare const networkServices: NetworkServiceRegistry;
export declare const endpoints: EndpointRegistry;
/** The second half of a server's chain. */
export declare const client: NetworkService;
/** Elements of the program's own. */
export declare const elements: readonly NetworkServiceElement[];
export declare const namespaces: { readonly client: NetworkNamespace; readonly endpoint: NetworkNamespace };
