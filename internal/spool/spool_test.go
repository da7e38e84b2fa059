package spool

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func TestSpoolGivesBackWhatWasWritten(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		s := New(dir, 1<<20)
		defer s.Close()
		var want []byte
		for range rapid.IntRange(0, 12).Draw(t, "writes") {
			n := rapid.SampledFrom([]int{0, 1, 77, spoolChunk - 1, spoolChunk, spoolChunk + 1, 60_000}).Draw(t, "n")
			p := bytes.Repeat([]byte{byte(len(want) % 251)}, n)
			if got, err := s.Write(p); got != n || err != nil {
				t.Fatalf("Write of %d = %d, %v", n, got, err)
			}
			want = append(want, p...)
		}
		if err := iotest.TestReader(s.Reader(), want); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(s.Section(int64(len(want)/3), int64(len(want)/2)))
		if err != nil || !bytes.Equal(got, want[len(want)/3:][:len(want)/2]) {
			t.Fatalf("section differs, %v", err)
		}
		if inFile := s.file != nil; inFile != (len(want) > spoolMemory) {
			t.Errorf("%d octets in a file: %v", len(want), inFile)
		}
	})
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestSpoolRefusesMoreThanItsLimit(t *testing.T) {
	s := New(t.TempDir(), 10)
	defer s.Close()
	if _, err := s.Write(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte{1}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}
