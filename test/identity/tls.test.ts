import type { X509Certificate } from "node:crypto";
import { createServer } from "node:net";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { connect, type ConnectionOptions, type TLSSocket } from "node:tls";
import { credentials, Metadata, ServerCredentials, status } from "@grpc/grpc-js";
import { firstValueFrom } from "rxjs";
import { beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { Code } from "../../src/core/index.js";
import {
  authority,
  fileIdentity,
  mutableSource,
  insecureIdentity,
  parseToken,
  spiffeIdentity,
  verifyToken,
  type Authority,
  type CallPeer,
  type MutableSource,
  type Identity,
  type IssuedSvid,
  type IssueOptions,
} from "../../src/identity/index.js";
import { tokenFromHeaders, tokenHeaders } from "../../src/identity/token-headers.js";
import {
  anyClient,
  testClient,
  contextOf,
  leafOf,
  serve,
  serveInjected,
  sourceOf,
  temporaryDirectory,
  type Answer,
} from "./support.js";

let org: Authority;
let net: Authority;
let serverSvid: IssuedSvid;
let clientSvid: IssuedSvid;
let serverSource: MutableSource;
let clientSource: MutableSource;
let server: Identity;
let client: Identity;

beforeAll(async () => {
  [org, net] = await Promise.all([
    authority({ trustDomain: "example.org" }),
    authority({ trustDomain: "example.net" }),
  ]);
  [serverSvid, clientSvid] = await Promise.all([
    org.issue({ path: "/server" }),
    org.issue({ path: "/client" }),
  ]);
});

beforeEach(() => {
  serverSource = sourceOf(serverSvid);
  clientSource = sourceOf(clientSvid);
  server = spiffeIdentity(serverSource);
  client = spiffeIdentity(clientSource);
});

/** Answers with the id of the caller. */
const describeCaller =
  (identity: Identity): Answer =>
  (call) =>
    `${identity.peerOfCall(call)?.id}`;

const print = (certificate: X509Certificate | undefined): string | undefined => certificate?.fingerprint256;

describe("mutual TLS", () => {
  test.each(["127.0.0.1:0", "unix"])("lets both ends learn who the other is (%s)", async (kind) => {
    const address = kind === "unix" ? `unix:${join(await temporaryDirectory(), "sock")}` : kind;
    let seen: CallPeer | undefined;
    const target = await serve(
      server.serverCredentials(),
      (call) => {
        seen = server.peerOfCall(call);
        return "";
      },
      address,
    );
    const learned: [string | undefined, string][] = [];
    const creds = client.channelCredentials((certificate, id) => learned.push([print(certificate), `${id}`]));
    await testClient(target, creds)();
    expect(learned).toEqual([[print(leafOf(serverSvid)), "spiffe://example.org/server"]]);
    expect(`${seen?.id}`).toBe("spiffe://example.org/client");
    expect(print(seen?.certificate)).toBe(print(leafOf(clientSvid)));
    expect(seen?.pem).toBe(leafOf(clientSvid).toString());
  });

  test("works over a stream that the program brings itself", async () => {
    const injector = serveInjected(server.serverCredentials(), describeCaller(server));
    const listener = createServer((socket) => {
      const duplex = new Duplex({
        read: () => undefined,
        write: (chunk: Buffer, _encoding, done) => void socket.write(chunk, () => done()),
        final: (done) => void socket.end(done),
      });
      socket.on("data", (chunk) => duplex.push(chunk)).on("end", () => duplex.push(null));
      socket.on("close", () => duplex.destroy());
      injector.injectConnection(duplex);
    });
    await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void listener.close());
    const { port } = listener.address() as { port: number };
    expect(await testClient(`127.0.0.1:${port}`, client.channelCredentials())()).toBe(
      "spiffe://example.org/client",
    );
  });

  test("knows the server before the first call on a connection makes its token, for that server", async () => {
    let learned: X509Certificate | undefined;
    const target = await serve(server.serverCredentials(), (call) => {
      const token = tokenFromHeaders(call.metadata)!.token;
      const { sub, aud } = parseToken(token);
      const signed = verifyToken(token, server.peerOfCall(call)!.certificate);
      return JSON.stringify({ sub, aud, signed });
    });
    const withTokens = credentials.combineChannelCredentials(
      client.channelCredentials((certificate) => (learned = certificate)),
      credentials.createFromMetadataGenerator((_options, done) => {
        const metadata = new Metadata();
        const token = client.tokens({ address: "", local: true, certificate: learned });
        for (const [name, value] of Object.entries(tokenHeaders(token))) metadata.set(name, value);
        done(null, metadata);
      }),
    );
    expect(JSON.parse(await testClient(target, withTokens)())).toEqual({
      sub: "spiffe://example.org/client",
      aud: ["spiffe://example.org/server"],
      signed: true,
    });
  });

  test("works out a caller once, however often it connects", async () => {
    const seen: (CallPeer | undefined)[] = [];
    const target = await serve(server.serverCredentials(), (call) => {
      seen.push(server.peerOfCall(call));
      return "";
    });
    const first = testClient(target, client.channelCredentials());
    await first();
    await first();
    await testClient(target, client.channelCredentials())();
    expect(`${seen[0]?.id}`).toBe("spiffe://example.org/client");
    expect(seen[1]).toBe(seen[0]);
    expect(seen[2]).toBe(seen[0]);
  });

  test("joins two trust domains that trust each other, with intermediates on both sides", async () => {
    const [here, there] = await Promise.all([org.intermediate(), net.intermediate()]);
    const [a, b] = await Promise.all([here.issue({ path: "/a" }), there.issue({ path: "/b" })]);
    const serving = spiffeIdentity(sourceOf(a, { "example.net": net.ca }));
    const calling = spiffeIdentity(sourceOf(b, { "example.org": org.ca }));
    const target = await serve(serving.serverCredentials(), describeCaller(serving));
    let learned = "";
    const creds = calling.channelCredentials((_certificate, id) => (learned = `${id}`));
    expect(await testClient(target, creds)()).toBe("spiffe://example.net/b");
    expect(learned).toBe("spiffe://example.org/a");
  });

  test("ends a chain at any authority of the bundle, after a rotation too", async () => {
    const lower = await org.intermediate();
    const [a, b] = await Promise.all([lower.issue({ path: "/a" }), lower.issue({ path: "/b" })]);
    // The bundle is the intermediate; its own root is nowhere.
    const anchor = a.svid.slice(a.svid.lastIndexOf("-----BEGIN"));
    const serving = mutableSource(contextOf({ ...a, ca: anchor }));
    const identity = spiffeIdentity(serving);
    const calling = spiffeIdentity(sourceOf({ ...b, ca: anchor }));
    const target = await serve(identity.serverCredentials(), describeCaller(identity));
    expect(await testClient(target, calling.channelCredentials())()).toBe("spiffe://example.org/b");
    serving.update(contextOf({ ...(await lower.issue({ path: "/a" })), ca: anchor }));
    expect(await testClient(target, calling.channelCredentials())()).toBe("spiffe://example.org/b");
    identity.close();
  });
});

const bad: [string, Omit<IssueOptions, "path">, string][] = [
  ["that expired", { notBefore: new Date(0) }, "expired"],
  ["without a SPIFFE id", { uris: [] }, "it has none"],
  [
    "with two ids",
    { uris: ["spiffe://example.org/a", "spiffe://example.org/b"] },
    'it has "spiffe://example.org/a"',
  ],
  ["that claims to be an authority", { ca: true }, "expected a leaf"],
  ["that may sign certificates", { certSign: true }, "keyCertSign"],
  [
    "whose id is of a domain its authority is not",
    { uris: ["spiffe://example.net/a"] },
    "does not chain to the bundle",
  ],
];

describe("a server", () => {
  test.each(bad)("refuses a client certificate %s", async (_title, options, why) => {
    const source = sourceOf(serverSvid, { "example.net": net.ca });
    const identity = spiffeIdentity(source);
    let answered = false;
    const target = await serve(identity.serverCredentials(), (call) => {
      identity.peerOfCall(call);
      answered = true;
      return "";
    });
    const refused = testClient(target, anyClient(await org.issue({ path: "/a", ...options }), org.ca))();
    if (why === "expired") await expect(refused).rejects.toMatchObject({ code: status.UNAVAILABLE });
    else {
      await expect(refused).rejects.toMatchObject({ code: status.UNAUTHENTICATED });
      await expect(refused).rejects.toThrow(why);
    }
    expect(answered).toBe(false);
  });

  test("refuses the second call of a bad caller for the same reason as the first", async () => {
    const target = await serve(server.serverCredentials(), describeCaller(server));
    const call = testClient(target, anyClient(await org.issue({ path: "/a", uris: [] }), org.ca));
    await expect(call()).rejects.toThrow("it has none");
    await expect(call()).rejects.toThrow("it has none");
  });

  test("refuses a client of another authority, and one without a certificate, at the handshake", async () => {
    let calls = 0;
    const target = await serve(server.serverCredentials(), () => `${++calls}`);
    const foreignClient = anyClient(await net.issue({ path: "/client" }), org.ca);
    await expect(testClient(target, foreignClient)()).rejects.toMatchObject({ code: status.UNAVAILABLE });
    const insecureClient = credentials.createSsl(Buffer.from(org.ca), null, null, {
      checkServerIdentity: () => undefined,
    });
    await expect(testClient(target, insecureClient)()).rejects.toMatchObject({ code: status.UNAVAILABLE });
    await expect(testClient(target, credentials.createInsecure())()).rejects.toMatchObject({
      code: status.UNAVAILABLE,
    });
    expect(calls).toBe(0);
  });

  const handshake = async (target: string, options: ConnectionOptions): Promise<TLSSocket> => {
    const port = Number(target.split(":")[1]);
    const socket = connect({
      port,
      host: "127.0.0.1",
      ca: org.ca,
      cert: clientSvid.svid,
      key: clientSvid.key,
      checkServerIdentity: () => undefined,
      ...options,
    });
    onTestFinished(() => void socket.destroy());
    await new Promise<void>((resolve, reject) => {
      socket.once("secureConnect", resolve).once("error", reject);
      // A server may refuse without a word.
      socket.once("close", () => reject(new Error("closed")));
    });
    return socket;
  };

  const nextSession = (socket: TLSSocket): Promise<Buffer> =>
    new Promise((resolve) => socket.once("session", resolve).resume());

  test("speaks TLS 1.2 and newer only, and picks h2", async () => {
    const target = await serve(server.serverCredentials(), describeCaller(server));
    // Only the lowest security level of OpenSSL would speak TLS 1.1 at all.
    const old = { minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const;
    await expect(handshake(target, old)).rejects.toThrow(/protocol version|closed/);
    const socket = await handshake(target, { maxVersion: "TLSv1.2", ALPNProtocols: ["h2"] });
    expect([socket.getProtocol(), socket.alpnProtocol]).toEqual(["TLSv1.2", "h2"]);
  });

  test.each(["TLSv1.2", "TLSv1.3"] as const)(
    "verifies every handshake anew: %s sessions are not resumed",
    async (version) => {
      const target = await serve(server.serverCredentials(), describeCaller(server));
      const options = { minVersion: version, maxVersion: version, ALPNProtocols: ["h2"] };
      const first = await handshake(target, options);
      // In TLS 1.3 what a session is resumed by comes after the handshake.
      const session = version === "TLSv1.3" ? await nextSession(first) : first.getSession()!;
      first.destroy();
      const second = await handshake(target, { ...options, session });
      expect(second.isSessionReused()).toBe(false);
    },
  );
});

describe("a client", () => {
  test.each(bad)("refuses a server certificate %s", async (_title, options, why) => {
    const issued = await org.issue({ path: "/a", ...options });
    const pair = { private_key: Buffer.from(issued.key), cert_chain: Buffer.from(issued.svid) };
    const target = await serve(ServerCredentials.createSsl(Buffer.from(org.ca), [pair], true), () => "");
    const calling = spiffeIdentity(sourceOf(clientSvid, { "example.net": net.ca }));
    let learned = false;
    const refused = testClient(
      target,
      calling.channelCredentials(() => (learned = true)),
    )();
    await expect(refused).rejects.toMatchObject({ code: status.UNAVAILABLE });
    await expect(refused).rejects.toThrow(why);
    expect(learned).toBe(false);
  });

  test("refuses a server of an authority it does not trust", async () => {
    const foreign = spiffeIdentity(sourceOf(await net.issue({ path: "/server" }), { "example.org": org.ca }));
    const target = await serve(foreign.serverCredentials(), describeCaller(foreign));
    const refused = testClient(target, client.channelCredentials())();
    await expect(refused).rejects.toMatchObject({ code: status.UNAVAILABLE });
    await expect(refused).rejects.toThrow(
      'spiffe://example.net/server is in trust domain "example.net"; trusted: example.org',
    );
  });

  test("does not check the host name that it dialed", async () => {
    const target = await serve(server.serverCredentials(), describeCaller(server));
    const port = target.split(":")[1];
    expect(await testClient(`dns:localhost:${port}`, client.channelCredentials())()).toBe(
      "spiffe://example.org/client",
    );
  });

  test("shows the error of its owner's onPeer as the reason of the failed connection", async () => {
    const target = await serve(server.serverCredentials(), describeCaller(server));
    const creds = client.channelCredentials(() => {
      throw new Error("not that one");
    });
    await expect(testClient(target, creds)()).rejects.toThrow("the server was refused: not that one");
  });
});

describe("rotation", () => {
  /** Shows the server's token for the caller, as an answer would carry it. */
  const tokenFor =
    (identity: Identity): Answer =>
    (call) =>
      identity.tokens({ address: "", local: true, certificate: identity.peerOfCall(call)!.certificate })
        .token;

  test("of a server's files changes what new connections see and leaves the old ones alone", async () => {
    const directory = await temporaryDirectory();
    await serverSvid.writeTo(directory);
    const serving = await fileIdentity(directory);
    onTestFinished(() => serving.close());
    const target = await serve(serving.serverCredentials(), tokenFor(serving));
    const seen: X509Certificate[] = [];
    const dial = () =>
      testClient(
        target,
        client.channelCredentials((certificate) => seen.push(certificate)),
      );
    const pooled = dial();
    await pooled();

    const changed = firstValueFrom(serving.changes);
    const renewed = await org.issue({ path: "/server" });
    await renewed.writeTo(directory);
    await changed;

    const oldToken = await pooled();
    const newToken = await dial()();
    expect(seen.map(print)).toEqual([print(leafOf(serverSvid)), print(leafOf(renewed))]);
    // What the server signs on each connection verifies with the certificate shown on that connection.
    expect([verifyToken(oldToken, seen[0]!), verifyToken(oldToken, seen[1]!)]).toEqual([true, false]);
    expect([verifyToken(newToken, seen[0]!), verifyToken(newToken, seen[1]!)]).toEqual([false, true]);
  });

  test("of a server between a connection and its first call signs with what the connection showed", async () => {
    const target = await serve(server.serverCredentials(), tokenFor(server));
    let learned: X509Certificate | undefined;
    const call = testClient(
      target,
      client.channelCredentials((certificate) => (learned = certificate)),
    );
    await call.ready();
    serverSource.update(contextOf(await org.issue({ path: "/server" })));
    expect(verifyToken(await call(), learned!)).toBe(true);
  });

  test("of a client leaves its old channel with the old certificate and tokens; a new one has the new", async () => {
    const check: Answer = (call) => {
      const { certificate } = server.peerOfCall(call)!;
      return `${print(certificate)} ${verifyToken(call.metadata.get("token")[0] as string, certificate)}`;
    };
    const target = await serve(server.serverCredentials(), check);
    const dial = async (): Promise<() => Promise<string>> => {
      let learned: X509Certificate | undefined;
      const call = testClient(
        target,
        client.channelCredentials((certificate) => (learned = certificate)),
      );
      const callWithToken = (): Promise<string> => {
        const metadata = new Metadata();
        metadata.set("token", client.tokens({ address: "", local: true, certificate: learned }).token);
        return call(metadata);
      };
      await callWithToken();
      return callWithToken;
    };
    const pooled = await dial();
    const renewed = await org.issue({ path: "/client" });
    clientSource.update(contextOf(renewed));
    const fresh = await dial();
    expect(await pooled()).toBe(`${print(leafOf(clientSvid))} true`);
    expect(await fresh()).toBe(`${print(leafOf(renewed))} true`);
  });

  test("of the authority is done by trusting both for a while", async () => {
    const target = await serve(server.serverCredentials(), describeCaller(server));
    const next = await authority({ trustDomain: "example.org" });
    const reissued = await next.issue({ path: "/new" });
    const both = `${org.ca}\n${next.ca}`;
    const calling = spiffeIdentity(sourceOf({ ...reissued, ca: both }));
    await expect(testClient(target, calling.channelCredentials())()).rejects.toMatchObject({
      code: status.UNAVAILABLE,
    });
    serverSource.update(contextOf({ ...serverSvid, ca: both }));
    expect(await testClient(target, calling.channelCredentials())()).toBe("spiffe://example.org/new");
    expect(await testClient(target, client.channelCredentials())()).toBe("spiffe://example.org/client");
  });

  test("of the authority ends the trust in callers that were known", async () => {
    // OpenSSL goes on trusting the authority for the ids of another domain.
    const target = await serve(server.serverCredentials(), describeCaller(server));
    expect(await testClient(target, client.channelCredentials())()).toBe("spiffe://example.org/client");
    const next = await authority({ trustDomain: "example.org" });
    serverSource.update(contextOf({ ...serverSvid, ca: next.ca }, { "example.net": org.ca }));
    const refused = testClient(target, client.channelCredentials())();
    await expect(refused).rejects.toMatchObject({ code: status.UNAUTHENTICATED });
    await expect(refused).rejects.toThrow("does not chain to the bundle");
  });

  test("reports each change once and ends with the identity", () => {
    const events: string[] = [];
    client.changes.subscribe({ next: () => events.push(`${client.id}`), complete: () => events.push("end") });
    clientSource.update(contextOf(serverSvid));
    clientSource.update(clientSource.current());
    client.close();
    clientSource.update(contextOf(clientSvid));
    expect(events).toEqual(["spiffe://example.org/server", "end"]);
  });
});

describe("an insecure identity", () => {
  test("has neither TLS nor peers, but tokens", async () => {
    const insecureClient = insecureIdentity();
    const target = await serve(insecureClient.serverCredentials(), describeCaller(insecureClient));
    expect(await testClient(target, insecureClient.channelCredentials())()).toBe("undefined");
    expect(insecureClient.id).toBeUndefined();
    expect(parseToken(insecureClient.tokens(undefined).token)).toMatchObject({
      alg: "HS256",
      sub: "",
      aud: [],
    });
    let ended = false;
    insecureClient.changes.subscribe({ complete: () => (ended = true) });
    insecureClient.close();
    expect(ended).toBe(true);
  });
});

describe("peerOfCall", () => {
  test("fails closed when grpc-js hides the connection", () => {
    const call = { metadata: new Metadata(), getPeer: () => "" };
    expect(() => server.peerOfCall(call)).toThrow(expect.objectContaining({ code: Code.Internal }));
  });

  test("refuses a call whose connection is gone", () => {
    const call = { metadata: new Metadata(), getPeer: () => "", call: { stream: {} } };
    expect(() => server.peerOfCall(call)).toThrow(expect.objectContaining({ code: Code.Cancelled }));
  });

  test("refuses a call that came without TLS", async () => {
    const target = await serve(ServerCredentials.createInsecure(), describeCaller(server));
    const refused = testClient(target, credentials.createInsecure())();
    await expect(refused).rejects.toMatchObject({ code: status.UNAUTHENTICATED });
    await expect(refused).rejects.toThrow("it did not use TLS");
  });
});
