import { once } from "node:events";
import { Code } from "../../../src/core/index.js";
import {
  allowPing,
  connectIn,
  netlinkIn,
  newNamespace,
  ping,
  tcpConnect,
  tcpListen,
  udpEcho,
  udpProbe,
} from "../../../src/linux/index.js";
import { withNamespaces } from "../../../src/testing/netns/index.js";
import { describe, expect, test } from "vitest";
import { type ChildResult, runChild } from "./child.js";
import { client4, client6, endpoint4, endpoint6, wired } from "./wired.js";

describe("ping", () => {
  test.each([
    ["4", endpoint4, client4],
    ["6", endpoint6, client6],
  ])("over IPv%s is answered over the wire, and the links count the packets", (_version, to, from) =>
    wired(async ([client]) => {
      allowPing(client);
      const before = await netlinkIn(client).linkStatistics("nsm-1");
      const result = await ping({ namespace: client, to, from, count: 3 });
      expect(result).toEqual({ sent: 3, received: 3, rttMs: expect.any(Array) });
      expect(result.rttMs).toHaveLength(3);
      for (const rtt of result.rttMs) expect(rtt).toBeGreaterThan(0);
      const after = await netlinkIn(client).linkStatistics("nsm-1");
      expect(after.tx.packets - before.tx.packets).toBeGreaterThanOrEqual(3);
      expect(after.rx.packets - before.rx.packets).toBeGreaterThanOrEqual(3);
      expect(after.tx.bytes).toBeGreaterThan(before.tx.bytes);
    }),
  );

  test("needs no more than its namespace's leave to ping", () =>
    wired(async ([client]) => {
      allowPing(client);
      const prefix = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
      const child: Promise<ChildResult>[] = [];
      client.run(() => void child.push(runChild("ping-without-privilege", { prefix })));
      const { stdout, stderr } = await child[0]!;
      expect({ result: JSON.parse(stdout || "{}"), stderr }).toMatchObject({
        result: { received: 2 },
        stderr: "",
      });
    }));

  test("uses a raw socket where there is no leave but privilege", () =>
    wired(async ([client]) => {
      for (const to of [endpoint4, endpoint6]) {
        expect(await ping({ namespace: client, to, count: 2 })).toMatchObject({ sent: 2, received: 2 });
      }
    }));

  test("without any answer has sent all by the end of its time", () =>
    wired(async ([client, endpoint]) => {
      await netlinkIn(endpoint).setLink("fw-1", { up: false });
      const result = await ping({ namespace: client, to: endpoint4, count: 2, timeoutMs: 60 });
      expect(result).toMatchObject({ sent: 2, received: 0, rttMs: [] });
    }));

  test("without a route reports it", () =>
    wired(async ([client]) => {
      const result = await ping({ namespace: client, to: "9.9.9.9", timeoutMs: 60 });
      expect(result).toEqual({
        sent: 0,
        received: 0,
        rttMs: [],
        unreachable: "network is unreachable (ENETUNREACH)",
      });
    }));

  test("reports at once when the route disappears while it waits", () =>
    wired(async ([client, endpoint]) => {
      await netlinkIn(endpoint).setLink("fw-1", { up: false });
      const result = ping({ namespace: client, to: endpoint4, count: 1_000, timeoutMs: 60_000 });
      await netlinkIn(client).deleteLink("nsm-1");
      const { sent, ...rest } = await result;
      expect(sent).toBeLessThan(1_000);
      expect(rest).toEqual({
        received: 0,
        rttMs: [],
        unreachable: "network is unreachable (ENETUNREACH)",
      });
    }));

  test("ends with the signal's reason", () =>
    wired(async ([client, endpoint]) => {
      await netlinkIn(endpoint).setLink("fw-1", { up: false });
      const stop = new AbortController();
      const result = ping({ namespace: client, to: endpoint4, timeoutMs: 60_000, signal: stop.signal });
      stop.abort(new Error("no longer wanted"));
      await expect(result).rejects.toThrow("no longer wanted");
      const late = ping({ namespace: client, to: endpoint4, signal: stop.signal });
      await expect(late).rejects.toThrow("no longer wanted");
    }));

  test("refuses what it cannot ask", () =>
    wired(async ([client]) => {
      const refusals: [Promise<unknown>, Code][] = [
        [ping({ namespace: client, to: "example.com" }), Code.InvalidArgument],
        [ping({ namespace: client, to: "10.0.0.0/8" }), Code.InvalidArgument],
        [ping({ namespace: client, to: endpoint4, count: 0 }), Code.InvalidArgument],
        [ping({ namespace: client, to: endpoint4, from: "9.9.9.9" }), Code.InvalidArgument],
      ];
      for (const [refused, code] of refusals) await expect(refused).rejects.toMatchObject({ code });
      const closed = newNamespace();
      closed.close();
      await expect(ping({ namespace: closed, to: endpoint4 })).rejects.toMatchObject({
        code: Code.FailedPrecondition,
      });
    }));
});

describe("TCP", () => {
  test.each([
    [endpoint4, client4],
    [endpoint6, client6],
  ])("to %s is open with a listener and refused without one", (host, from) =>
    wired(async ([client, endpoint]) => {
      const listener = await tcpListen({ namespace: endpoint, host, port: 0 });
      const { port } = listener;
      expect(await tcpConnect({ namespace: client, host, port, from })).toBe("open");
      expect(await tcpConnect({ namespace: client, host, port })).toBe("open");
      await expect.poll(() => listener.accepted).toBe(2);
      await listener.close();
      expect(await tcpConnect({ namespace: client, host, port })).toBe("refused");
    }),
  );

  test("times out without an answer, and is unreachable without a route", () =>
    wired(async ([client]) => {
      await netlinkIn(client).replaceNeighbor({
        link: "nsm-1",
        address: endpoint4,
        mac: "02:00:00:00:00:99",
      });
      const at = { namespace: client, host: endpoint4, port: 80 };
      expect(await tcpConnect({ ...at, timeoutMs: 50 })).toBe("timeout");
      await expect(connectIn({ ...at, timeoutMs: 50 })).rejects.toMatchObject({
        code: Code.DeadlineExceeded,
      });
      expect(await tcpConnect({ ...at, host: "9.9.9.9" })).toBe("unreachable");
    }));

  test("connections carry data between namespaces", () =>
    wired(async ([client, endpoint]) => {
      const listener = await tcpListen({ namespace: endpoint, host: endpoint4, port: 8080 });
      const socket = await connectIn({ namespace: client, host: endpoint4, port: 8080 });
      expect([socket.localAddress, socket.remoteAddress, socket.remotePort]).toEqual([
        client4,
        endpoint4,
        8080,
      ]);
      socket.write("through the wire");
      const [data] = (await once(socket, "data")) as [Buffer];
      expect(data.toString()).toBe("through the wire");
      socket.destroy();
      await once(socket, "close");
      await listener.close();
    }));

  test("is not reachable from a namespace that has no wire", () =>
    withNamespaces(2, async ([lab, other]) => {
      const listener = await tcpListen({ namespace: lab, host: "127.0.0.1", port: 0 });
      const { port } = listener;
      expect(await tcpConnect({ namespace: lab, host: "127.0.0.1", port })).toBe("open");
      expect(await tcpConnect({ namespace: other, host: "127.0.0.1", port })).toBe("refused");
      await listener.close();
    }));

  test("refuses to listen where it cannot, and leaves no socket", () =>
    withNamespaces(1, async ([lab]) => {
      const listener = await tcpListen({ namespace: lab, host: "127.0.0.1", port: 0 });
      const again = (port: number, host = "127.0.0.1") => tcpListen({ namespace: lab, host, port });
      await expect(again(listener.port)).rejects.toMatchObject({ code: Code.AlreadyExists });
      await expect(again(0, "9.9.9.9")).rejects.toMatchObject({ code: Code.InvalidArgument });
      await expect(again(70_000)).rejects.toMatchObject({ code: Code.InvalidArgument });
      await listener.close();
    }));

  test("attempts end with the signal's reason", () =>
    wired(async ([client]) => {
      await netlinkIn(client).replaceNeighbor({
        link: "nsm-1",
        address: endpoint4,
        mac: "02:00:00:00:00:99",
      });
      const stop = new AbortController();
      const result = tcpConnect({
        namespace: client,
        host: endpoint4,
        port: 80,
        signal: stop.signal,
        timeoutMs: 60_000,
      });
      stop.abort(new Error("no longer wanted"));
      await expect(result).rejects.toThrow("no longer wanted");
    }));
});

describe("UDP", () => {
  test.each([endpoint4, endpoint6])("to %s is answered, refused or lost", (host) =>
    wired(async ([client, endpoint]) => {
      const echo = await udpEcho({ namespace: endpoint, host, port: 0 });
      const at = { namespace: client, host, port: echo.port };
      expect(await udpProbe(at)).toBe("answered");
      expect(echo.received).toBe(1);
      await echo.close();
      expect(await udpProbe(at)).toBe("refused");
      await netlinkIn(client).replaceNeighbor({ link: "nsm-1", address: host, mac: "02:00:00:00:00:99" });
      expect(await udpProbe({ ...at, timeoutMs: 50 })).toBe("timeout");
      expect(await udpProbe({ ...at, host: "9.9.9.9" })).toBe("unreachable");
    }),
  );
});
