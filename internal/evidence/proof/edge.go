package proof

import (
	"crypto/sha256"

	"golang.org/x/mod/sumdb/tlog"
)

// An Edge is the right edge of a growing tree: enough to tell its root, in a few
// hashes, however many leaves it has. The zero value is the empty tree.
type Edge struct {
	n     int64
	nodes []tlog.Hash // roots of the complete subtrees, largest first
	grown []tlog.Hash // the result of Add, kept for the next call
}

// Size is the number of leaves.
func (e *Edge) Size() int64 { return e.n }

// Add adds the hash of a leaf and returns the hashes that this completes, the leaf's
// first: what a tree in the layout of tlog.StoredHashIndex grows by. The slice is
// valid until the next call.
func (e *Edge) Add(leaf tlog.Hash) []tlog.Hash {
	e.grown = append(e.grown[:0], leaf)
	for n := e.n; n&1 == 1; n >>= 1 {
		last := len(e.nodes) - 1
		leaf = tlog.NodeHash(e.nodes[last], leaf)
		e.nodes = e.nodes[:last]
		e.grown = append(e.grown, leaf)
	}
	e.nodes = append(e.nodes, leaf)
	e.n++
	return e.grown
}

// ReadEdge returns the edge of a stored tree of n leaves.
func ReadEdge(n int64, r tlog.HashReader) (Edge, error) {
	var at []int64
	for level, done := 62, int64(0); level >= 0; level-- {
		if n&(1<<level) != 0 {
			at = append(at, tlog.StoredHashIndex(level, done>>level))
			done += 1 << level
		}
	}
	if len(at) == 0 {
		return Edge{}, nil
	}
	nodes, err := r.ReadHashes(at)
	if err != nil {
		return Edge{}, err
	}
	return Edge{n: n, nodes: nodes}, nil
}

// Root returns the root (RFC 6962 section 2.1); of an empty tree the hash of nothing.
func (e *Edge) Root() tlog.Hash {
	if e.n == 0 {
		return sha256.Sum256(nil)
	}
	last := len(e.nodes) - 1
	root := e.nodes[last]
	for i := last - 1; i >= 0; i-- {
		root = tlog.NodeHash(e.nodes[i], root)
	}
	return root
}
