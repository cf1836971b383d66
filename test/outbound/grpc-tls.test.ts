import { concat, of, Subject, type Subscription } from "rxjs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  Connection,
  ConnectionEvent,
  MonitorScopeSelector,
  NetworkServiceRequest,
} from "../../src/api/index.js";
import { Code, codeOf, Context, explain, peer, type Peer } from "../../src/core/index.js";
import { authority, insecureIdentity, parseToken, verifyToken } from "../../src/identity/index.js";
import { grpcServer, type Server } from "../../src/inbound/index.js";
import {
  grpcRemotes,
  serverPeer,
  type GrpcRemotes,
  type ServerPeerHolder,
} from "../../src/outbound/index.js";
import { virtualClock, type VirtualClock } from "../../src/testing/index.js";
import { contextOf } from "../identity/support.js";
import { openSockets, socketsDownTo } from "./grpc-kit.js";
import { renewable, testAuthority, type Renewable } from "./tls-identities.js";

const request = NetworkServiceRequest.create({ connection: Connection.create({ id: "c1" }) });

describe("remotes with mutual TLS", () => {
  let before: number;
  let clock: VirtualClock;
  let nsc: Renewable;
  let nsmgr: Renewable;
  let remotes: GrpcRemotes;
  let server: Server;
  let callers: Peer[];
  let ctx: Context;
  /** What the server publishes to its monitors, after a first event. */
  let events: Subject<ConnectionEvent>;

  const start = async (lifetimes: { server?: number } = {}): Promise<void> => {
    nsc = await renewable("nsc");
    nsmgr = await renewable("nsmgr", lifetimes.server === undefined ? {} : { lifetimeMs: lifetimes.server });
    remotes = grpcRemotes({ identity: nsc.identity, clock });
    server = await grpcServer({
      identity: nsmgr.identity,
      listenOn: ["tcp://127.0.0.1:0"],
      graceMs: 0,
      services: {
        networkService: {
          request: async (c, { connection }) => {
            callers.push(c.get(peer)!);
            return connection!;
          },
          close: async () => {},
        },
        monitor: { monitorConnections: () => concat(of(ConnectionEvent.create()), events) },
      },
    });
  };

  beforeEach(() => {
    before = openSockets();
    clock = virtualClock(Date.now());
    callers = [];
    events = new Subject();
    ctx = Context.background();
  });

  afterEach(async () => {
    remotes.close();
    await server.close();
    nsc.identity.close();
    nsmgr.identity.close();
    await socketsDownTo(before);
    expect(clock.timers).toBe(0);
  });

  /** One Request; answers who each side was to the other. */
  const call = async (): Promise<{ caller: Peer; called: Peer }> => {
    const holder: { current?: Peer | undefined } = {};
    await remotes.to(server.listenOn[0]!).networkService.request(ctx.with(serverPeer, holder), request);
    return { caller: callers.at(-1)!, called: holder.current! };
  };

  /** A monitor stream that has published an event, and how it ended. */
  const stream = async (
    c = ctx,
    onEvent: () => void = () => {},
  ): Promise<{ subscription: Subscription; outcome: () => string }> => {
    let outcome = "open";
    const { monitor } = remotes.to(server.listenOn[0]!);
    const subscription = await new Promise<Subscription>((resolve) => {
      const opened: Subscription = monitor.monitorConnections(c, MonitorScopeSelector.create()).subscribe({
        next: () => {
          onEvent();
          queueMicrotask(() => resolve(opened));
        },
        error: (error: unknown) => (outcome = explain(error)),
        complete: () => (outcome = "complete"),
      });
    });
    return { subscription, outcome: () => outcome };
  };

  test("each side knows the other's id and certificate", async () => {
    await start();
    const { caller, called } = await call();
    expect(caller.spiffeId).toBe("spiffe://example.org/nsc");
    expect(caller.certificate?.raw).toEqual(nsc.source.current().svid.certificates[0]!.raw);
    expect(called.spiffeId).toBe("spiffe://example.org/nsmgr");
    expect(called.certificate?.raw).toEqual(nsmgr.source.current().svid.certificates[0]!.raw);
  });

  test("already the first call carries a token for the server, signed with the shown key", async () => {
    await start();
    const { caller } = await call();
    expect(parseToken(caller.token!.token)).toMatchObject({
      sub: "spiffe://example.org/nsc",
      aud: ["spiffe://example.org/nsmgr"],
    });
    expect(verifyToken(caller.token!.token, caller.certificate!)).toBe(true);
  });

  test("all calls and streams to one target share a connection", async () => {
    await start();
    const first = await call();
    const { subscription } = await stream();
    const second = await call();
    expect(second.caller.address).toBe(first.caller.address);
    subscription.unsubscribe();
  });

  test("a call's server is that of its own connection, not of the newest one", async () => {
    await start();
    const before = nsmgr.source.current().svid.certificates[0]!;
    const holder: ServerPeerHolder = {};
    let onEvent = (): void => {};
    const { subscription } = await stream(ctx.with(serverPeer, holder), () => onEvent());
    const first = holder.current!;
    expect(first.certificate?.raw).toEqual(before.raw);

    await nsmgr.renew();
    let called = (await call()).called;
    // The server requests a new connection. Until the client has read that, calls use the old one.
    while (called.connection!.id === first.connection!.id) called = (await call()).called;
    expect(called.certificate?.raw).toEqual(nsmgr.source.current().svid.certificates[0]!.raw);

    const received = new Promise<void>((resolve) => (onEvent = resolve));
    events.next(ConnectionEvent.create());
    await received;
    expect(holder.current?.certificate?.raw).toEqual(before.raw);
    expect(holder.current?.connection?.id).toBe(first.connection!.id);
    subscription.unsubscribe();
  });

  test("when the own certificate changes, calls move to a new connection and streams stay", async () => {
    await start();
    const old = await call();
    const { subscription, outcome } = await stream();
    await nsc.renew();
    const fresh = await call();
    expect(fresh.caller.address).not.toBe(old.caller.address);
    expect(fresh.caller.certificate?.raw).toEqual(nsc.source.current().svid.certificates[0]!.raw);
    expect(verifyToken(fresh.caller.token!.token, fresh.caller.certificate!)).toBe(true);
    expect(outcome()).toBe("open");

    const both = openSockets();
    subscription.unsubscribe();
    await socketsDownTo(both - 1);
    expect((await call()).caller.address).toBe(fresh.caller.address);
  });

  test("a connection is left at half of the life the server's certificate had", async () => {
    await start({ server: 900_000 });
    const old = await call();
    await clock.advance(425_000);
    expect((await call()).caller.address).toBe(old.caller.address);
    const { subscription, outcome } = await stream();
    await clock.advance(50_000);
    expect((await call()).caller.address).not.toBe(old.caller.address);
    expect(outcome()).toBe("open");
    subscription.unsubscribe();
  });

  test("when the server's certificate changes, its clients come again and their streams stay", async () => {
    await start();
    const old = await call();
    const { subscription, outcome } = await stream();
    await nsmgr.renew();
    let fresh = await call();
    // The GOAWAY may meet a call that is on its way; that one still succeeds on the old connection.
    while (fresh.caller.address === old.caller.address) fresh = await call();
    expect(fresh.called.certificate?.raw).toEqual(nsmgr.source.current().svid.certificates[0]!.raw);
    expect(outcome()).toBe("open");
    expect(verifyToken(fresh.caller.token!.token, fresh.caller.certificate!)).toBe(true);
    subscription.unsubscribe();
  });

  test("a new authority in both bundles leaves connections alone, and new connections trust it", async () => {
    await start();
    const old = await call();
    const { ca } = await testAuthority();
    const next = await authority({ trustDomain: "example.org" });
    for (const side of [nsc, nsmgr]) side.trust([ca, next.ca]);
    expect((await call()).caller.address).toBe(old.caller.address);

    nsmgr.source.update({
      ...contextOf(await next.issue({ path: "/nsmgr" })),
      bundles: nsmgr.source.current().bundles,
    });
    let fresh = await call();
    while (fresh.caller.address === old.caller.address) fresh = await call();
    expect(fresh.called.certificate?.raw).toEqual(nsmgr.source.current().svid.certificates[0]!.raw);
  });

  test.each(["client", "server"])(
    "when the bundle of a %s loses an authority that is still valid, calls move to a new connection",
    async (side) => {
      await start();
      const { ca } = await testAuthority();
      const next = await authority({ trustDomain: "example.org" });
      for (const one of [nsc, nsmgr]) one.trust([ca, next.ca]);
      const old = await call();
      (side === "client" ? nsc : nsmgr).trust([ca]);
      let fresh = await call();
      while (fresh.caller.address === old.caller.address) fresh = await call();
      expect(verifyToken(fresh.caller.token!.token, fresh.caller.certificate!)).toBe(true);
    },
  );

  test("an expired authority that leaves the bundle changes no connection", async () => {
    await start();
    const { ca } = await testAuthority();
    const expired = await authority({ trustDomain: "example.org", lifetimeMs: -1_000 });
    nsc.trust([ca, expired.ca]);
    const old = await call();
    nsc.trust([ca]);
    expect((await call()).caller.address).toBe(old.caller.address);
  });

  test("a client without certificate, and one that speaks no TLS, get no call through", async () => {
    await start();
    const plain = grpcRemotes({ identity: insecureIdentity() });
    const error: unknown = await plain
      .to(server.listenOn[0]!)
      .networkService.request(ctx, request)
      .catch((caught: unknown) => caught);
    plain.close();
    expect(codeOf(error)).toBe(Code.Unauthenticated);
    expect(callers).toEqual([]);
    await call();
  });
});
