import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { closeSync, readFileSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Code, Context } from "../../src/core/index.js";
import { inodeUrlOf } from "../../src/linux/index.js";
import { attachable, type AttachableConnection } from "../../src/linux/sockets/attachments.js";
import { libc } from "../../src/linux/libc.js";
import { duplicate } from "../../src/linux/sockets/attachable-socket.js";
import { ReceivedDescriptors } from "../../src/linux/sockets/received-descriptors.js";
import { virtualClock } from "../../src/testing/index.js";
import { descriptorCount, descriptorsDownTo, OpenFiles } from "./descriptor-kit.js";

const never = Context.background().signal;

describe("a unix socket that passes descriptors", () => {
  let before: number;
  let files: OpenFiles;
  let server: Server | undefined;
  let path: string;
  const streams: Duplex[] = [];

  beforeEach(() => {
    before = descriptorCount();
    files = new OpenFiles();
    path = join(files.folder, "s");
  });
  afterEach(async () => {
    for (const stream of streams.splice(0)) stream.destroy();
    server?.close();
    server = undefined;
    files.remove();
    await descriptorsDownTo(before);
  });

  /** The two ends of a connection, as Node makes them. */
  const plainPair = async <A, B>(accept: (s: Socket) => A, reach: (s: Socket) => B): Promise<[A, B]> => {
    const own = (server = createServer());
    await new Promise<void>((resolve) => own.listen(path, resolve));
    const accepted = new Promise<A>((resolve) => own.once("connection", (s) => resolve(accept(s))));
    const socket = connect(path);
    const reached = new Promise<B>((resolve) => socket.once("connect", () => resolve(reach(socket))));
    return Promise.all([accepted, reached]);
  };
  const take = (socket: Socket): AttachableConnection => {
    const taken = attachable(socket)!;
    streams.push(taken.stream);
    return taken;
  };
  const keep = (socket: Socket): Socket => {
    streams.push(socket);
    return socket;
  };

  test.each(["from it", "to it"])(
    "carries bytes in order %s, as fast as the reader takes them",
    async (way) => {
      const [own, other] = await plainPair(take, keep);
      const [writer, reader] = way === "from it" ? [own.stream, other] : [other, own.stream];
      const data = randomBytes(8 << 20);
      const hash = createHash("sha256");
      let length = 0;
      const ended = once(reader, "end");
      reader.on("data", (chunk: Buffer) => {
        hash.update(chunk);
        length += chunk.length;
        if (length % 7 !== 0) return;
        reader.pause();
        setImmediate(() => reader.resume());
      });
      for (let at = 0; at < data.length; at += 100_000) {
        if (!writer.write(data.subarray(at, at + 100_000))) await once(writer, "drain");
      }
      writer.end();
      await ended;
      expect(length).toBe(data.length);
      expect(hash.digest("hex")).toBe(createHash("sha256").update(data).digest("hex"));
    },
  );

  test("does not read ahead of a reader that takes nothing", async () => {
    const [own, other] = await plainPair(take, keep);
    let taken = 0;
    while (other.write(Buffer.alloc(64 << 10), () => (taken += 64 << 10)) || taken === 0) {
      await new Promise((resolve) => setImmediate(resolve));
      if (other.writableLength > 1 << 20) break;
    }
    expect(own.stream.bytesRead).toBeLessThan(1 << 20);
  });

  test("brings descriptors of the same files, beside the bytes, not for children", async () => {
    const [a, b] = await plainPair(take, take);
    const fd = files.add("one", "what is in it");
    a.attachments.send(fd);
    a.stream.write("hello");
    const [bytes] = (await once(b.stream, "data")) as [Buffer];
    const received = await b.attachments.receive(inodeUrlOf(fd), never);
    expect(received).not.toBe(fd);
    expect(inodeUrlOf(received)).toBe(inodeUrlOf(fd));
    expect(readFileSync(`/proc/self/fd/${received}`, "utf8")).toBe("what is in it");
    expect(readFileSync(`/proc/self/fdinfo/${received}`, "utf8")).toMatch(/flags:\s+0?2\d{6}\b/);
    closeSync(received);
    expect("hello".startsWith(bytes.toString())).toBe(true);
  });

  test("brings more descriptors than bytes or than one write carries, in the writes that follow", async () => {
    const [a, b] = await plainPair(take, take);
    const sent = files.many(100);
    for (const fd of sent) a.attachments.send(fd);
    let text = "";
    b.stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
    a.stream.write("0123456789");
    a.stream.write("x".repeat(200));
    a.stream.write("y".repeat(200));
    const received = await Promise.all(sent.map((fd) => b.attachments.receive(inodeUrlOf(fd), never)));
    expect(received.map(inodeUrlOf)).toEqual(sent.map(inodeUrlOf));
    received.forEach((fd) => closeSync(fd));
    while (text.length < 410) await once(b.stream, "data");
    expect(text).toBe(`0123456789${"x".repeat(200)}${"y".repeat(200)}`);
  });

  test("closes duplicates and, at its end, descriptors that were not taken or sent", async () => {
    const [a, b] = await plainPair(take, take);
    const fd = files.add("one");
    b.stream.resume();
    for (let i = 0; i < 5; i++) a.attachments.send(fd);
    a.stream.write("hello");
    closeSync(await b.attachments.receive(inodeUrlOf(fd), never));
    while (b.stream.bytesRead < 5) await once(b.stream, "data");
    a.attachments.send(files.add("two"));
    a.stream.destroy();
    await once(b.stream, "close");
    // What is open now is compared after the test.
    expect(() => a.attachments.send(fd)).not.toThrow();
  });

  test("ends for the peer when its process closes it, and ignores later writes", async () => {
    const [a, b] = await plainPair(take, take);
    const waiting = b.attachments.receive("inode://1/1", never);
    const refused = expect(waiting).rejects.toMatchObject({ code: Code.Unavailable });
    const errors: Error[] = [];
    b.stream.on("error", (error) => errors.push(error));
    b.stream.resume();
    a.stream.destroy();
    b.stream.write("into the void");
    await once(b.stream, "close");
    await refused;
    expect(errors).toEqual([]);
    await expect(b.attachments.receive("inode://1/1", never)).rejects.toMatchObject({
      code: Code.Unavailable,
    });
  });

  test("reports its end to a peer that only reads, and to a Node socket", async () => {
    const [a, other] = await plainPair(take, keep);
    other.resume();
    const ended = once(other, "end");
    a.stream.end("bye");
    await ended;
    expect(other.readableEnded).toBe(true);
    other.destroy();
  });

  test("lets a caller abort the wait for a descriptor, and rejects invalid URLs", async () => {
    const [a] = await plainPair(take, take);
    const caller = new AbortController();
    const waiting = a.attachments.receive("inode://1/2", caller.signal);
    caller.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    await expect(a.attachments.receive("inode://1/2", caller.signal)).rejects.toThrow("enough");
    await expect(a.attachments.receive("file:///x", never)).rejects.toMatchObject({
      code: Code.InvalidArgument,
      message: '"file:///x" is not a descriptor: expected inode://device/inode',
    });
  });
});

describe("a process without descriptors to spare", () => {
  afterEach(() => void vi.restoreAllMocks());

  test("serves a connection without passing descriptors", async () => {
    const before = descriptorCount();
    const files = new OpenFiles();
    const server = createServer();
    const accepted = new Promise<Socket>((resolve) => {
      server.once("connection", (socket) => {
        vi.spyOn(libc(), "fcntl").mockReturnValue(-1);
        expect(attachable(socket)).toBeUndefined();
        resolve(socket);
      });
    });
    await new Promise<void>((resolve) => server.listen(join(files.folder, "s"), resolve));
    const client = connect(join(files.folder, "s"));
    const socket = await accepted;
    const data = once(client, "data");
    socket.end("hello");
    expect(String((await data)[0])).toBe("hello");
    client.destroy();
    server.close();
    files.remove();
    await descriptorsDownTo(before);
  });

  test("rejects the calls that wait for one", async () => {
    const files = new OpenFiles();
    const received = new ReceivedDescriptors();
    const fd = duplicate(files.add("a"));
    const waiting = received.take(inodeUrlOf(fd), never);
    vi.spyOn(libc(), "fcntl").mockReturnValue(-1);
    received.arrived(fd);
    await expect(waiting).rejects.toThrow("too many open descriptors");
    received.close();
    files.remove();
  });
});

describe("descriptors that wait for their calls", () => {
  test("are closed without waiting for what a peer's socket still has to send", async () => {
    const before = descriptorCount();
    const server = createServer({ pauseOnConnect: true });
    const accepted = new Promise<Socket>((resolve) => server.once("connection", resolve));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
    await once(socket, "connect");
    const reader = await accepted;
    socket.write(Buffer.alloc(32 << 20));
    const { fd } = (socket as unknown as { _handle: { fd: number } })._handle;
    const linger = Buffer.from(new Int32Array([1, 6]).buffer);
    expect(libc().setsockopt(fd, 1, 13, linger, linger.length)).toBe(0);
    const received = new ReceivedDescriptors();
    received.arrived(duplicate(fd));
    socket.destroy();
    await once(socket, "close");
    const began = performance.now();
    received.close();
    expect(performance.now() - began).toBeLessThan(3_000);
    reader.destroy();
    server.close();
    await descriptorsDownTo(before);
  });

  test("are closed at once when the file cannot be identified", () => {
    const received = new ReceivedDescriptors(virtualClock());
    expect(() => received.arrived(1_000_000_000)).not.toThrow(); // no descriptor: fstat and close refuse it
    expect(() => received.close()).not.toThrow();
  });

  test("are bounded in time", async () => {
    const files = new OpenFiles();
    const clock = virtualClock();
    const received = new ReceivedDescriptors(clock);
    for (const fd of files.many(10)) received.arrived(duplicate(fd));
    expect(received.size).toBe(10);
    await clock.advance(60_000);
    expect([received.size, clock.timers]).toEqual([0, 0]);
    files.remove();
  });

  test("are bounded in number for all connections: the largest loses its oldest, those in use first", async () => {
    const files = new OpenFiles();
    const clock = virtualClock();
    const budget = { limit: 10, highest: 1_000, holders: new Set<ReceivedDescriptors>() };
    const [small, large] = [new ReceivedDescriptors(clock, budget), new ReceivedDescriptors(clock, budget)];
    const [first, ...others] = files.many(13);
    small.arrived(duplicate(first!));
    for (const fd of others.slice(0, 9)) large.arrived(duplicate(fd));
    closeSync(await large.take(inodeUrlOf(others[4]!), never));
    for (const fd of others.slice(9)) large.arrived(duplicate(fd));
    const holds = async (fd: number): Promise<boolean> => {
      const url = inodeUrlOf(fd);
      const waiting = new AbortController();
      const taken = large.take(url, waiting.signal).then(
        (copy) => (closeSync(copy), true),
        () => false,
      );
      waiting.abort();
      return taken;
    };
    const held: boolean[] = [];
    for (const fd of others) held.push(await holds(fd));
    expect(held.flatMap((it, i) => (it ? [] : [i]))).toEqual([0, 1, 4]);
    expect([small.size, large.size]).toEqual([1, 9]);
    small.close();
    large.close();
    expect(budget.holders.size).toBe(0);
    files.remove();
  });

  test("are refused to further calls when the calls in progress have taken most of what the process may open", async () => {
    const [first, second] = [duplicate(0), duplicate(0)];
    closeSync(second);
    const budget = { limit: 10, highest: second, holders: new Set<ReceivedDescriptors>() };
    const received = new ReceivedDescriptors(virtualClock(), budget);
    const url = inodeUrlOf(first);
    received.arrived(first);
    const taken = await received.take(url, never);
    await expect(received.take(url, never)).rejects.toMatchObject({ code: Code.ResourceExhausted });
    closeSync(taken);
    closeSync(await received.take(url, never));
    received.close();
  });

  test("of 1,000 calls at once stay for all of them", async () => {
    const files = new OpenFiles();
    const received = new ReceivedDescriptors(virtualClock());
    const many = files.many(1_000);
    for (const fd of many) received.arrived(duplicate(fd));
    const taken = await Promise.all(many.map((fd) => received.take(inodeUrlOf(fd), never)));
    expect(taken).toHaveLength(1_000);
    for (const fd of taken) closeSync(fd);
    received.close();
    files.remove();
  });
});
