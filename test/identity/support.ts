import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  Client,
  credentials,
  Metadata,
  Server,
  type CallOptions,
  type ChannelCredentials,
  type handleUnaryCall,
  type MethodDefinition,
  type ServerCredentials,
  type ServerUnaryCall,
} from "@grpc/grpc-js";
import { onTestFinished } from "vitest";
import { asNsmError } from "../../src/core/index.js";
import {
  authority,
  mutableSource,
  parseCertificates,
  spiffeIdentity,
  x509Svid,
  type Authority,
  type Identity,
  type MutableSource,
  type IssuedSvid,
  type X509Context,
} from "../../src/identity/index.js";

/** A directory that is gone when the test is. */
export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "nsm-identity-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** What was issued, as a source holds it; `trusted` adds the bundles of other domains. */
export function contextOf(issued: IssuedSvid, trusted: Record<string, string> = {}): X509Context {
  const bundles = { [issued.id.trustDomain]: issued.ca, ...trusted };
  return {
    svid: x509Svid(issued.svid, createPrivateKey(issued.key)),
    bundles: new Map(Object.entries(bundles).map(([domain, pem]) => [domain, parseCertificates(pem)])),
  };
}

export function sourceOf(issued: IssuedSvid, trusted?: Record<string, string>): MutableSource {
  const source = mutableSource(contextOf(issued, trusted));
  onTestFinished(() => source.close());
  return source;
}

/** An identity with mutual TLS, for as long as the test runs. */
export function secureIdentity(issued: IssuedSvid, trusted?: Record<string, string>): Identity {
  return spiffeIdentity(sourceOf(issued, trusted));
}

/** The authorities of two trust domains that do not know each other. */
export async function twoAuthorities(): Promise<{ readonly org: Authority; readonly net: Authority }> {
  const [org, net] = await Promise.all([
    authority({ trustDomain: "example.org" }),
    authority({ trustDomain: "example.net" }),
  ]);
  return { org, net };
}

export function leafOf(issued: IssuedSvid): X509Certificate {
  return parseCertificates(issued.svid)[0]!;
}

const text = {
  serialize: (value: string) => Buffer.from(value),
  deserialize: (bytes: Buffer) => bytes.toString(),
};

const askMethod: MethodDefinition<string, string> = {
  path: "/test.Questions/Ask",
  requestStream: false,
  responseStream: false,
  requestSerialize: text.serialize,
  requestDeserialize: text.deserialize,
  responseSerialize: text.serialize,
  responseDeserialize: text.deserialize,
};

export type Answer = (call: ServerUnaryCall<string, string>) => string;

function testServer(answer: Answer): Server {
  const server = new Server();
  const handler: handleUnaryCall<string, string> = (call, callback) => {
    try {
      callback(null, answer(call));
    } catch (error) {
      const { code, message } = asNsmError(error);
      callback({ code, details: message });
    }
  };
  server.addService({ askMethod }, { askMethod: handler });
  return server;
}

/** A server of one unary method; gone with the test. Returns the target to dial. */
export async function serve(
  serverCredentials: ServerCredentials,
  answer: Answer,
  address = "127.0.0.1:0",
): Promise<string> {
  const server = testServer(answer);
  onTestFinished(() => server.forceShutdown());
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync(address, serverCredentials, (error, bound) => (error ? reject(error) : resolve(bound))),
  );
  return address.startsWith("unix:") ? address : `127.0.0.1:${port}`;
}

/** The same server behind streams that the test brings itself. */
export function serveInjected(serverCredentials: ServerCredentials, answer: Answer) {
  const server = testServer(answer);
  const injector = server.createConnectionInjector(serverCredentials);
  onTestFinished(() => {
    injector.destroy();
    server.forceShutdown();
  });
  return injector;
}

export interface TestClient {
  (metadata?: Metadata, options?: CallOptions): Promise<string>;
  /** Connects without a call. */
  ready(): Promise<void>;
  close(): void;
}

/** A client of its own connection; gone with the test. */
export function testClient(target: string, channelCredentials: ChannelCredentials): TestClient {
  const client = new Client(target, channelCredentials, {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.ssl_target_name_override": "localhost",
  });
  onTestFinished(() => client.close());
  const call = (metadata = new Metadata(), options: CallOptions = {}): Promise<string> =>
    new Promise((resolve, reject) =>
      client.makeUnaryRequest(
        askMethod.path,
        askMethod.requestSerialize,
        askMethod.responseDeserialize,
        "who?",
        metadata,
        { deadline: Date.now() + 30_000, ...options },
        (error, value) => (error ? reject(error) : resolve(value!)),
      ),
    );
  const ready = (): Promise<void> =>
    new Promise((resolve, reject) =>
      client.waitForReady(Date.now() + 30_000, (error) => (error ? reject(error) : resolve())),
    );
  return Object.assign(call, { ready, close: () => client.close() });
}

/** A client that shows any certificate, also those that our own code would not load. */
export function anyClient(issued: IssuedSvid, ca: string): ChannelCredentials {
  return credentials.createSsl(Buffer.from(ca), Buffer.from(issued.key), Buffer.from(issued.svid), {
    checkServerIdentity: () => undefined,
  });
}
