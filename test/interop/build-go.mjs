// Builds the Go peer that the interop tests run against, when it is missing or its sources changed.
// Usage: node test/interop/build-go.mjs (prints the path of the binary)
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";

const sources = fileURLToPath(new URL("./go/", import.meta.url));
const folder = fileURLToPath(new URL("./bin/", import.meta.url));
const binary = `${folder}gopeer`;
const stamp = `${binary}.sha256`;

/** Returns the path of an up to date binary; throws one plain sentence when Go is not installed. */
export function buildGoPeer() {
  const wanted = fingerprint();
  if (existsSync(binary) && existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return binary;

  try {
    execFileSync("go", ["version"], { stdio: "ignore" });
  } catch (cause) {
    throw new Error("The interop tests need Go 1.24 or newer on the PATH (https://go.dev/dl)", { cause });
  }
  mkdirSync(folder, { recursive: true });
  // Two test runs may build at the same time: only a complete binary appears under the final name.
  const fresh = `${binary}.${process.pid}`;
  execFileSync("go", ["build", "-trimpath", "-buildvcs=false", "-o", fresh, "."], {
    cwd: sources,
    stdio: ["ignore", 2, 2],
  });
  renameSync(fresh, binary);
  writeFileSync(stamp, wanted);
  return binary;
}

function fingerprint() {
  const hash = createHash("sha256");
  const files = readdirSync(sources).filter((name) => /\.go$|^go\.(mod|sum)$/.test(name));
  for (const name of files.sort()) hash.update(name).update(readFileSync(sources + name));
  return hash.digest("hex");
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    console.log(buildGoPeer());
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
