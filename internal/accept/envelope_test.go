package accept

import (
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/compose"
)

func TestIdentities(t *testing.T) {
	long := strings.Repeat("x", 9000)
	message := "Received: by a\r\n\tfrom b\r\nFROM : a@b.test,\r\n c@d.test\r\nSubject: From: no@body.test\r\n" +
		"X-Long: " + long + "\r\nSender: " + long + "\r\nresent-from:\te@f.test\r\n\r\nFrom: in@the.body\r\n"
	want := []compose.Field{{Name: "FROM", Value: " a@b.test, c@d.test"}, {Name: "Sender", Value: " " + long}, {Name: "resent-from", Value: "\te@f.test"}}
	got, err := headerFields(strings.NewReader(message), identityFields)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v\n got %.200q\nwant %.200q", err, got, want)
	}
	for _, size := range []int{4094, 4095, 4096, 4097, 8192} { // around the reader's buffer
		line := "From:" + strings.Repeat("y", size-5)
		if got, err := headerFields(strings.NewReader(line+"\r\n\r\n"), identityFields); err != nil || len(got) != 1 || got[0].Value != line[5:] {
			t.Errorf("line of %d octets: %d fields, %v", size, len(got), err)
		}
	}
	if got, err := headerFields(strings.NewReader(""), identityFields); err != nil || got != nil {
		t.Errorf("empty message: %v %v", got, err)
	}
}

// SEC-19: a field of very many folded lines costs a few allocations, not one of growing
// size for each line.
func TestIdentitiesOfManyFolds(t *testing.T) {
	message := "From: a@b.test\r\n" + strings.Repeat(" ,\r\n", 16<<10) + "\r\n"
	if n := testing.AllocsPerRun(3, func() {
		if _, err := headerFields(strings.NewReader(message), identityFields); err != nil {
			t.Fatal(err)
		}
	}); n > 40 {
		t.Errorf("%.0f allocations", n)
	}
}
