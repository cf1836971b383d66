import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer as createHttp2Server } from "node:http2";
import { createServer, type AddressInfo, type Server as NetServer } from "node:net";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Connection, NetworkServiceRequest } from "../../src/api/index.js";
import { Code, codeOf, Context, explain } from "../../src/core/index.js";
import { retry } from "../../src/elements/retry/index.js";
import {
  authority,
  insecureIdentity,
  type Authority,
  type Identity,
  type IssuedSvid,
} from "../../src/identity/index.js";
import { grpcRemotes } from "../../src/outbound/index.js";
import { secureIdentity, temporaryDirectory, twoAuthorities } from "../identity/support.js";
import { openSockets, socketsDownTo } from "./grpc-kit.js";

const request = NetworkServiceRequest.create({ connection: Connection.create({ id: "c1" }) });

describe("a client", () => {
  let org: Authority;
  let net: Authority;
  let nsc: IssuedSvid;
  let before: number;
  let server: NetServer | undefined;

  beforeAll(async () => {
    ({ org, net } = await twoAuthorities());
    nsc = await org.issue({ path: "/nsc" });
  });
  beforeEach(() => {
    before = openSockets();
  });
  afterEach(async () => {
    await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
    server = undefined;
    await socketsDownTo(before);
  });

  const listening = async (listening: NetServer): Promise<string> => {
    server = listening.listen(0, "127.0.0.1");
    await once(server, "listening");
    return `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  const tlsServer = ({ svid, key }: IssuedSvid): Promise<string> =>
    listening(
      createTlsServer({ cert: svid, key, ca: org.ca, requestCert: true, ALPNProtocols: ["h2"] }).on(
        "tlsClientError",
        (_error, socket) => socket.destroy(),
      ),
    );

  /** What the call fails with, through an element that retries whatever a retry can heal. */
  const failureAt = async (url: string, identity: Identity): Promise<{ code: Code; text: string }> => {
    const remotes = grpcRemotes({ identity, handshakeTimeoutMs: 200 });
    const ctx = Context.background();
    const error: unknown = await ctx
      .withTimeout(1_500, (c) => retry(remotes.to(url).networkService).request(c, request))
      .catch((caught: unknown) => caught);
    remotes.close();
    identity.close();
    return { code: codeOf(error), text: explain(error) };
  };
  const secure = (issued = nsc): Identity => secureIdentity(issued);

  test("does not retry against a server without TLS, and names the mistake", async () => {
    const url = await listening(createHttp2Server());
    expect(await failureAt(url, secure())).toEqual({
      code: Code.Unauthenticated,
      text:
        `NetworkService/Request at ${url} failed: ` +
        "the server does not use TLS: use an identity on both sides, or --insecure on both",
    });
  });

  test("does not retry against a server of another trust domain, and names it", async () => {
    const url = await tlsServer(await net.issue({ path: "/nsmgr" }));
    expect(await failureAt(url, secure())).toEqual({
      code: Code.Unauthenticated,
      text:
        `NetworkService/Request at ${url} failed: the server was refused: ` +
        'spiffe://example.net/nsmgr is in trust domain "example.net"; trusted: example.org',
    });
  });

  test("does not retry against a server of another authority for the same trust domain", async () => {
    const other = await authority({ trustDomain: "example.org" });
    const url = await tlsServer(await other.issue({ path: "/nsmgr" }));
    const { code, text } = await failureAt(url, secure());
    expect(code).toBe(Code.Unauthenticated);
    expect(text).toContain(
      "the server was refused: the certificate of spiffe://example.org/nsmgr does not chain to the bundle",
    );
  });

  test("does not retry against a server whose certificate expired, and reports when", async () => {
    const url = await tlsServer(await org.issue({ path: "/nsmgr", notBefore: new Date(0) }));
    const { code, text } = await failureAt(url, secure());
    expect(code).toBe(Code.Unauthenticated);
    expect(text).toMatch(
      /the server was refused: the certificate of spiffe:\/\/example\.org\/nsmgr expired at 1970-01-0/,
    );
  });

  test("does not retry against a server that rejects its certificate, and names its own identity", async () => {
    const folder = await temporaryDirectory();
    await (await org.issue({ path: "/nsmgr" })).writeTo(folder);
    await writeFile(join(folder, "trusted.pem"), net.ca);
    // OpenSSL's own server sends an alert, as Go's does; Node's only closes.
    const process = spawn("openssl", [
      ...["s_server", "-accept", "127.0.0.1:0", "-alpn", "h2", "-Verify", "1", "-verify_return_error"],
      ...["-cert", `${folder}/svid.pem`, "-key", `${folder}/key.pem`, "-CAfile", `${folder}/trusted.pem`],
    ]);
    const [, port] = await new Promise<RegExpExecArray>((resolve) => {
      let output = "";
      process.stdout.on("data", (chunk: Buffer) => {
        const found = /^ACCEPT 127\.0\.0\.1:(\d+)/m.exec((output += chunk.toString()));
        if (found) resolve(found);
      });
    });
    const { code, text } = await failureAt(`tcp://127.0.0.1:${port}`, secure());
    process.kill();
    await once(process, "close");
    expect(code).toBe(Code.Unauthenticated);
    expect(text).toContain("the server refused the certificate of spiffe://example.org/nsc: unknown ca");
  });

  test("retries while a server closes each connection during the handshake", async () => {
    const url = await listening(createServer((socket) => socket.once("data", () => socket.destroy())));
    const { code, text } = await failureAt(url, secure());
    expect(code).toBe(Code.DeadlineExceeded);
    expect(text).toContain("the server aborted the TLS handshake");
    expect(text).toContain("spiffe://example.org/nsc");
  });

  test("without TLS reports that a server which closes at once may require TLS", async () => {
    const url = await listening(createServer((socket) => socket.once("data", () => socket.destroy())));
    const { code, text } = await failureAt(url, insecureIdentity());
    expect(code).toBe(Code.DeadlineExceeded);
    expect(text).toContain("check that both sides use TLS or both use --insecure");
  });
});
