// A FUSE file system with one file, in the folder that the argument names. It answers up to the first open, and then
// no more. It ends by itself, so that a test that fails does not wait forever.
import { spawnSync } from "node:child_process";
import { openSync, read, writeSync } from "node:fs";

const [LOOKUP, GETATTR, OPEN, INIT] = [1, 3, 14, 26];
const [FOLDER, FILE] = [1n, 2n];

const device = openSync("/dev/fuse", "r+");
const options = "fd=3,rootmode=40000,user_id=0,group_id=0";
const mounted = spawnSync("mount", ["-i", "-t", "fuse", "-o", options, "silent", process.argv[2]], {
  stdio: ["ignore", "inherit", "inherit", device],
});
if (mounted.status !== 0) process.exit(1);
setTimeout(() => process.exit(1), 20_000);

/** struct fuse_attr */
function attributes(inode) {
  const bytes = Buffer.alloc(88);
  bytes.writeBigUInt64LE(inode, 0);
  bytes.writeUInt32LE(inode === FOLDER ? 0o40755 : 0o100644, 60);
  bytes.writeUInt32LE(1, 64);
  return bytes;
}

function answer(operation, node) {
  const times = Buffer.alloc(40);
  times.writeBigUInt64LE(FILE, 0); // struct fuse_entry_out
  times.writeBigUInt64LE(3_600n, 16);
  times.writeBigUInt64LE(3_600n, 24);
  if (operation === LOOKUP) return Buffer.concat([times, attributes(FILE)]);
  if (operation === GETATTR) return Buffer.concat([times.subarray(16, 32), attributes(node)]);
  if (operation === OPEN) return Buffer.alloc(16);
  const init = Buffer.alloc(64);
  init.writeUInt32LE(7, 0);
  init.writeUInt32LE(31, 4);
  init.writeUInt32LE(4_096, 20);
  return init;
}

let silent = false;
const request = Buffer.alloc(1 << 20);
const next = () =>
  read(device, request, 0, request.length, null, (error) => {
    if (error) process.exit(0);
    const operation = request.readUInt32LE(4);
    if (!silent && [LOOKUP, GETATTR, OPEN, INIT].includes(operation)) {
      const body = answer(operation, request.readBigUInt64LE(16));
      const head = Buffer.alloc(16);
      head.writeUInt32LE(16 + body.length, 0);
      request.copy(head, 8, 8, 16);
      writeSync(device, Buffer.concat([head, body]));
    }
    silent ||= operation === OPEN;
    next();
  });
next();
console.log("mounted");
