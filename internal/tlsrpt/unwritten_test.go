package tlsrpt

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

type reports interface{ store.TLSReports }

// A disk is the store of a rig, which may be out of order for writing reports.
type disk struct {
	reports
	mu   sync.Mutex
	fail error
}

func (d *disk) breakDown(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = err
}

func (d *disk) PutTLSReports(ctx context.Context, list []store.TLSReport) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return d.fail
	}
	return d.reports.PutTLSReports(ctx, list)
}

// What came of an attempt and cannot be written is written later; the report is not sent
// again meanwhile.
func TestAReportIsNotSentAgainBecauseTheDiskFails(t *testing.T) {
	for _, test := range []struct {
		name    string
		rua     string
		answers []http.HandlerFunc
		during  []string // paths posted to while the disk fails
		after   []string // and in all
	}{
		{"taken", "https://receiver.test/1", nil, []string{"/1"}, []string{"/1"}},
		{"to be tried again", "https://receiver.test/1", []http.HandlerFunc{status(503)}, []string{"/1"}, []string{"/1", "/1"}},
		{"half way", "https://receiver.test/1,https://receiver.test/2", []http.HandlerFunc{status(200), status(503)},
			[]string{"/1"}, []string{"/1", "/2", "/2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			at(t, "2026-11-23T23:50:00Z", func(rg *rig) {
				rg.zone.set("receiver.test", "v=TLSRPTv1;rua="+test.rua)
				due := rg.reported()
				rg.web.answers(test.answers...)
				paths := func() (list []string) {
					for _, p := range rg.web.seen() {
						list = append(list, strings.TrimPrefix(p.url, "https://receiver.test"))
					}
					return list
				}
				rg.disk.breakDown(errors.New("disk failure"))
				rg.until(due.Add(9 * time.Minute).Format(time.RFC3339))
				if got := paths(); !slices.Equal(got, test.during) {
					t.Errorf("posts while the disk fails: %v", got)
				}
				rg.disk.breakDown(nil)
				rg.until(due.Add(time.Hour).Format(time.RFC3339))
				if got := paths(); !slices.Equal(got, test.after) {
					t.Errorf("posts in all: %v", got)
				}
				if r := rg.only(); r.State != store.TLSReportSent {
					t.Errorf("%+v", r)
				}
				if s := rg.room.Stats(); s.Sent != 1 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}
