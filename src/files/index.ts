/**
 * Files and directories that a program reads, writes and follows.
 *
 * @packageDocumentation
 */
export { makeDirectory } from "./make-directory.js";
export { readText } from "./read-text.js";
export { watchFiles, type Reading, type WatchedFiles, type WatchFilesOptions } from "./watch-files.js";
