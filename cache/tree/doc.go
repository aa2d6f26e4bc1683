// Package tree keeps file trees as content: large files as blobs of their
// own, small ones in packs, an index in segments, and a pointer that names
// the segments and moves by compare-and-swap. docs/cache-format.md has the
// bytes and the reasons.
//
// # Trust
//
// A Cache writes Own alone. It reads Own, and Base when there is one: an
// untrusted scope's tree may refer to Base's blobs, a trusted one (no Base)
// only to Own's. Bytes from either are trusted only by their digest.
//
// # Conflicts
//
// Of two saves that name one path the later one wins: later segments override
// earlier ones. A file that is a directory in another entry's path is dropped.
package tree
