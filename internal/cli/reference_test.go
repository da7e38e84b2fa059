package cli

import (
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the files that are generated from the code")

func TestReferencePageIsCurrent(t *testing.T) {
	const path = "../../docs/reference/commands.md"
	want, err := Reference()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the commands say; run: go generate ./internal/cli", path)
	}
}
