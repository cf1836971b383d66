import { NetworkServiceRequest, type Connection } from "../../api/index.js";
import {
  codeOf,
  explain,
  isRetryable,
  type Context,
  type Logger,
  type NetworkService,
} from "../../core/index.js";
import { retry } from "../../elements/retry/index.js";
import { requestedConnection, type RequestedService } from "../config/request-url.js";
import { Waiting } from "../../registry/waiting.js";
import type { EventReporter } from "./events.js";

/** How long a Close is tried when the program is told to end: a hop may be restarting. */
const CLOSE_WITHIN_MS = 5_000;

/** One connection that a program wants to have. */
export interface KeptConnection {
  /** Resolves when it stands for the first time; rejects when it never will. */
  readonly established: Promise<Connection>;
  /** Gives up asking, or closes what stands. */
  close(): Promise<void>;
}

/** What keepConnected() works with. */
export interface KeepConnectedOptions {
  readonly networkService: NetworkService;
  readonly logger: Logger;
  readonly reporter: EventReporter;
  readonly id: string;
  readonly requested: RequestedService;
  readonly tryTimeoutMs: number;
}

/** Asks until the connection stands; from then on the client's chain refreshes and heals it. */
export function keepConnected(ctx: Context, options: KeepConnectedOptions): KeptConnection {
  const { networkService, logger, reporter, id, requested, tryTimeoutMs } = options;
  const wanted = requestedConnection(id, requested);
  const giveUp = new AbortController();
  const what = `connection ${id} to ${requested.networkService}`;
  const waiting = new Waiting({ what, clock: ctx.clock, logger });
  const reporting: NetworkService = {
    async request(c, request) {
      try {
        return await networkService.request(c, request);
      } catch (error) {
        if (!giveUp.signal.aborted) {
          reporter.failed(wanted, error, isRetryable(codeOf(error)));
          waiting.failed(error);
        }
        throw error;
      }
    },
    close: (c, connection) => networkService.close(c, connection),
  };
  const request = NetworkServiceRequest.create({
    connection: wanted,
    mechanismPreferences: [requested.mechanism],
  });
  const service = retry(reporting, { intervalMs: 200, tryTimeoutMs });
  const established = ctx.withSignal(giveUp.signal, (c) => service.request(c, request));
  // Whoever closes before it stands has no interest in why it does not.
  established.catch(() => {}).finally(() => waiting.stop());

  return {
    established,
    async close() {
      giveUp.abort();
      const connection = await established.catch(() => undefined);
      if (!connection) return;
      // What a dead endpoint held is gone with it, and the hops before it forget the connection at the first try.
      const endpointLost = reporter.hasLostEndpoint(connection);
      try {
        await ctx.detached(
          (c) => (endpointLost ? networkService : service).close(c, connection),
          CLOSE_WITHIN_MS,
        );
        reporter.closed(connection);
      } catch (error) {
        if (endpointLost && isRetryable(codeOf(error))) {
          const text = "closed without the endpoint, which had been lost";
          logger.warn({ connection: id, error: explain(error) }, text);
          reporter.closed(connection);
        } else reporter.failed(connection, error, false);
      }
    },
  };
}
