// Package archtest keeps the shape of the house: which room may import which, and
// the few rules of style that a machine can judge. It has no code of its own; its
// tests read the source files of the whole module. They read the files themselves
// instead of running the go command, so that the test cache knows what they depend on.
//
// The table in table_test.go is a statement of policy. A test that fails here is a
// question about the design, to be answered in a review: change the import, or change
// the table and say why.
package archtest
