//go:build !unix

package app

func descriptors() uint64 { return 0 }
