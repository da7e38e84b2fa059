package tlsrpt

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A server that does not speak HTTP has its words quoted in the error: a few are enough.
func TestNotesAreBounded(t *testing.T) {
	at(t, "2026-11-23T23:50:00Z", func(rg *rig) {
		rg.zone.set("receiver.test", "v=TLSRPTv1;rua=https://receiver.test/")
		due := rg.reported()
		rg.web.answers(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = conn.Write([]byte(strings.Repeat("ü", 10_000) + "\r\n\r\n"))
			_ = conn.Close()
		})
		rg.until(due.Add(2 * time.Minute).Format(time.RFC3339))
		r := rg.only()
		if n := r.Destinations[0].Note; len(n) > maxRecorded+10 || !strings.Contains(n, "malformed HTTP") || !strings.HasSuffix(n, " [...]") || r.Note != n {
			t.Errorf("%d octets: %.300s", len(n), n)
		}
		rg.zone.setFail(errors.New(strings.Repeat("SERVFAIL ", 1000)))
		rg.until(due.Add(15 * time.Minute).Format(time.RFC3339))
		if n := rg.only().Note; len(n) > maxRecorded+50 || !strings.Contains(n, "SERVFAIL") {
			t.Errorf("%d octets: %.300s", len(n), n)
		}
	})
}
