import type { Socket } from "node:net";
import { ChannelCredentials, Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { SpiffeWorkloadAPIService, type X509SVIDResponse } from "../api/generated/workload.js";
import { codeOf, NsmError } from "../core/index.js";

type SecureConnector = ReturnType<ChannelCredentials["_createSecureConnector"]>;

/**
 * Opens one stream of X.509-SVIDs. Rejects when the stream ends, with the signal's reason if the signal ended it.
 */
export type OpenStream = (
  signal: AbortSignal,
  onResponse: (response: X509SVIDResponse) => void,
) => Promise<never>;

const { fetchX509Svid } = SpiffeWorkloadAPIService;

/**
 * Streams over a new connection each, so that no state of a lost connection delays the next one. From its first
 * response on, a stream does not keep the process alive.
 *
 * Source: SPIFFE Workload API standard, sections 4 and 5.2.
 */
export function workloadStreams(target: string): OpenStream {
  return (signal, onResponse) =>
    new Promise((_, reject) => {
      const observed = new ObservedCredentials();
      const client = new Client(target, observed, {
        "grpc.use_local_subchannel_pool": 1,
        "grpc.enable_channelz": 0,
        "grpc.enable_http_proxy": 0,
        "grpc.service_config_disable_resolution": 1,
        // Detects a silent agent. Go servers reject pings more often than every five minutes.
        "grpc.keepalive_time_ms": 310_000,
      });
      const metadata = new Metadata();
      metadata.set("workload.spiffe.io", "true");
      const call = client.makeServerStreamRequest(
        fetchX509Svid.path,
        fetchX509Svid.requestSerialize,
        fetchX509Svid.responseDeserialize,
        {},
        metadata,
      );
      const end = (error: unknown): void => {
        signal.removeEventListener("abort", abort);
        call.cancel();
        client.close();
        reject(error as Error);
      };
      const abort = (): void => end(signal.reason);
      signal.addEventListener("abort", abort, { once: true });
      call.on("data", (response: X509SVIDResponse) => {
        observed.socket?.unref();
        if (!signal.aborted) onResponse(response);
      });
      call.on("error", (error: ServiceError) => end(new NsmError(codeOf(error), error.details)));
      call.on("end", () => end(new NsmError(codeOf(undefined), "the agent ended the stream")));
      if (signal.aborted) abort();
    });
}

/** Connections without TLS, as the standard requires, and the socket of the newest one. */
class ObservedCredentials extends ChannelCredentials {
  socket: Socket | undefined;
  private readonly inner = credentials.createInsecure();

  override _isSecure(): boolean {
    return false;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(
    ...args: Parameters<ChannelCredentials["_createSecureConnector"]>
  ): SecureConnector {
    const connector = this.inner._createSecureConnector(...args);
    return {
      connect: (socket) => connector.connect((this.socket = socket)),
      waitForReady: () => connector.waitForReady(),
      getCallCredentials: () => connector.getCallCredentials(),
      destroy: () => connector.destroy(),
    };
  }
}
