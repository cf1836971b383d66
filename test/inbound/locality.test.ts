import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Connection, NetworkServiceRequest, NetworkServiceService } from "../../src/api/index.js";
import { Context, peer, type Peer } from "../../src/core/index.js";
import { insecureIdentity, type Identity } from "../../src/identity/index.js";
import { secureContextOf } from "../../src/identity/tls-context.js";
import { grpcServer, type Server } from "../../src/inbound/index.js";
import { grpcRemotes, serverPeer, type ServerPeerHolder } from "../../src/outbound/index.js";
import { renewable, type Renewable } from "../outbound/tls-identities.js";
import { openSockets, socketsDownTo } from "../outbound/grpc-kit.js";

const override = vi.hoisted(() => ({ loopback: false }));
// One machine has no other: its loopback network plays the part.
vi.mock(import("../../src/wire/locality.js"), async (original) => {
  const real = await original();
  return { ...real, isLocalHost: (host) => !override.loopback && real.isLocalHost(host) };
});

const ROUNDS = 200;
const request = NetworkServiceRequest.create({ connection: Connection.create({ id: "c1" }) });

describe("whether a caller is local", () => {
  const seen: (Peer | undefined)[] = [];
  let before: number;
  let folder: string;
  let server: Server | undefined;
  const closers: (() => void)[] = [];

  beforeEach(async () => {
    before = openSockets();
    folder = await mkdtemp(join(tmpdir(), "nsm-local-"));
  });
  afterEach(async () => {
    override.loopback = false;
    seen.length = 0;
    for (const close of closers.splice(0)) close();
    await server?.close();
    server = undefined;
    await socketsDownTo(before);
    await rm(folder, { recursive: true });
  });

  const serve = async (identity: Identity): Promise<readonly string[]> => {
    server = await grpcServer({
      identity,
      listenOn: ["tcp://127.0.0.1:0", `unix://${folder}/nsm.sock`],
      graceMs: 0,
      services: {
        networkService: {
          request: async (ctx, { connection }) => {
            seen.push(ctx.get(peer));
            return connection!;
          },
          close: async () => {},
        },
      },
    });
    return server.listenOn;
  };
  const callFrom = async (url: string, identity: Identity): Promise<ServerPeerHolder> => {
    const remotes = grpcRemotes({ identity });
    closers.push(() => remotes.close());
    const holder: ServerPeerHolder = {};
    await remotes.to(url).networkService.request(Context.background().with(serverPeer, holder), request);
    return holder;
  };

  /** Sends a Request and resets the connection as soon as it is on its way, again and again. */
  const callAndDisconnect = async (port: number, secured?: Renewable): Promise<void> => {
    for (let round = 0; round < ROUNDS; round++) {
      const socket = connect(port, "127.0.0.1");
      socket.on("error", () => {});
      await once(socket, "connect");
      const top = secured ? await tlsOver(socket, secured) : socket;
      await new Promise<void>((resolve) => top.write(requestFrames(), () => resolve()));
      socket.resetAndDestroy();
    }
  };

  describe.each(["insecure", "with mutual TLS"])("%s", (security) => {
    let identity: Identity;
    let caller: Renewable | undefined;

    beforeEach(async () => {
      caller = security === "insecure" ? undefined : await renewable("client");
      identity = caller ? (await renewable("server")).identity : insecureIdentity();
      closers.push(() => identity.close());
    });

    test(
      "a caller of another machine is never, although it hangs up at once",
      { timeout: 60_000 },
      async () => {
        override.loopback = true;
        const [tcp] = await serve(identity);
        await callAndDisconnect(Number(new URL(tcp!).port), caller);
        // One that stays shows that those before it have had their turn.
        await callFrom(tcp!, caller?.identity ?? identity);
        expect(seen.length).toBeGreaterThan(1);
        expect(seen.filter((one) => one?.local !== false)).toEqual([]);
      },
    );

    test(
      "a caller that hangs up at once still has its address and its connection",
      { timeout: 60_000 },
      async () => {
        const [tcp] = await serve(identity);
        await callAndDisconnect(Number(new URL(tcp!).port), caller);
        await callFrom(tcp!, caller?.identity ?? identity);
        expect(seen.length).toBeGreaterThan(1);
        for (const one of seen) {
          expect(one).toMatchObject({ local: true, connection: { kind: "tcp", local: true } });
          expect(one!.address).toMatch(/^127\.0\.0\.1:\d+$/);
        }
        expect(new Set(seen.map((one) => one!.connection!.id)).size).toBe(seen.length);
      },
    );

    test("a unix socket's caller is, and so is its server, wherever the loopback network is", async () => {
      override.loopback = true;
      const urls = await serve(identity);
      const holders = await Promise.all(urls.map((url) => callFrom(url, caller?.identity ?? identity)));
      expect(seen.map((one) => [one?.connection?.kind, one?.local]).sort()).toEqual([
        ["tcp", false],
        ["unix", true],
      ]);
      expect(holders.map(({ current }) => [current?.connection?.kind, current?.local])).toEqual([
        ["tcp", false],
        ["unix", true],
      ]);
    });
  });
});

async function tlsOver(socket: Socket, { source }: Renewable): Promise<TLSSocket> {
  const secured = connectTls({
    socket,
    secureContext: secureContextOf(source.current()),
    checkServerIdentity: () => undefined,
    ALPNProtocols: ["h2"],
  });
  secured.on("error", () => {});
  await once(secured, "secureConnect");
  return secured;
}

/** A whole call in HTTP/2's bytes: grpc-js would not let go of it so soon. */
function requestFrames(): Buffer {
  const { path, requestSerialize } = NetworkServiceService.request;
  const message = requestSerialize(request);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  const headers = {
    ":method": "POST",
    ":scheme": "http",
    ":path": path,
    ":authority": "localhost",
    "content-type": "application/grpc",
    te: "trailers",
  };
  const [SETTINGS, HEADERS, DATA, END_STREAM, END_HEADERS] = [4, 1, 0, 1, 4];
  return Buffer.concat([
    Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    frame(SETTINGS, 0, 0, Buffer.alloc(0)),
    frame(HEADERS, END_HEADERS, 1, Buffer.concat(Object.entries(headers).map(literal))),
    frame(DATA, END_STREAM, 1, Buffer.concat([prefix, message])),
  ]);
}

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A header as HPACK writes what it does not compress. */
function literal([name, value]: [string, string]): Buffer {
  const text = (one: string): Buffer => Buffer.concat([Buffer.of(one.length), Buffer.from(one)]);
  return Buffer.concat([Buffer.of(0), text(name), text(value)]);
}
