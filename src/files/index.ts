/**
 * Files and directories that a program reads, writes and follows.
 *
 * @packageDocumentation
 */
export { directoryWatch, type DirectoryWatchOptions } from "./directory-watch.js";
export { makeDirectory } from "./make-directory.js";
export { readText } from "./read-text.js";
