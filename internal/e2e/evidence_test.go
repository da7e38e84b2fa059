package e2e

import (
	"bytes"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/evidence/proof"
	"github.com/sealpost/sealpost/internal/smtptest"
)

// proven exports all evidence, verifies it by the server's key and returns the records by
// recipient, those of one recipient in order.
func (rg *rig) proven(t *testing.T) map[string][]proof.Record {
	t.Helper()
	status, export, err := rg.do(rg.http, "GET", rg.base+"/v1/sealpost/evidence", nil)
	if err != nil || status != http.StatusOK {
		t.Fatalf("export: %d %s %v", status, export, err)
	}
	key, ok := rg.call(t, "GET", "/v1/sealpost/evidence/key", nil)["key"].(string)
	if !ok {
		t.Fatal("no key")
	}
	records := map[string][]proof.Record{}
	r, err := proof.Verify(t.Context(), bytes.NewReader(export), proof.Options{Keys: []string{key}, Each: func(r proof.Record, _ proof.Checkpoint) {
		records[r.Recipient] = append(records[r.Recipient], r)
	}})
	if err != nil || !r.OK() {
		t.Fatal(r.Problems, err)
	}
	return records
}

// REL-50: what is proven is what the event log says, for a delivery that was verified, one in
// plaintext and one that was refused; after a restart too, when no content is kept at all.
func TestEvidence(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	settings := append(w.settings(`retry = ["1h"]`), "[retention]\ncontent = 0\n"...)
	rg := w.startWith(t, settings)
	rg.open(t, plainDomain)
	want := map[string]string{}
	ids := map[string]string{}
	for name, c := range map[string]struct {
		kind   smtptest.CertKind
		result string
	}{"good": {smtptest.Valid, "verified-pkix"}, "self-signed": {smtptest.SelfSigned, "plaintext-verify-failed"}} {
		to := w.receive(t, name, c.kind, smtptest.Behaviour{})
		want[to.address()] = c.result
		ids[to.address()] = rg.mustSubmit(t, plainDomain, "messages", short(to.address()))
	}
	refused := w.receive(t, "no-tls", smtptest.Valid, smtptest.Behaviour{STARTTLS: smtptest.TLSNotOffered})
	want[refused.address()] = "refused-not-offered"
	ids[refused.address()] = rg.mustSubmit(t, plainDomain, "messages", append(short(refused.address()), field{name: "o:require-tls", value: "yes"}))
	for _, id := range ids {
		rg.outcome(t, plainDomain, id)
	}
	check := func() {
		t.Helper()
		got := rg.proven(t)
		for address, result := range want {
			e := rg.outcome(t, plainDomain, ids[address])
			if len(got[address]) != 1 {
				t.Errorf("%s: %d records", address, len(got[address]))
				continue
			}
			r := got[address][0]
			if r.Event.String() != e.ID || r.Status.TLSDetail.Result != result || e.Status.Detail.Result != result ||
				*r.Status.TLS != *e.Status.TLS || *r.Status.CertificateVerified != *e.Status.Verified || r.Domain != plainDomain {
				t.Errorf("%s: record %+v, event %+v", address, r, e)
			}
		}
	}
	check()
	key := rg.outcome(t, plainDomain, ids[refused.address()]).Storage.Key
	rg.stop(t)

	rg = w.startWith(t, settings)
	check()
	for address, id := range ids {
		stored := rg.outcome(t, plainDomain, id).Storage.Key
		kept := stored == key // it still waits
		await(t, "the content of "+address+" to be as retention says", func() bool {
			status, _, err := rg.do(rg.http, "GET", rg.base+"/v3/domains/"+plainDomain+"/messages/"+stored, url.Values{})
			return err == nil && (status == http.StatusOK) == kept
		})
	}
	check()
	if log := rg.log.String(); strings.Contains(log, "evidence") {
		t.Errorf("the log complains: %s", log)
	}
}

// checkEvidence: every attempt that has an event has one record, and no other has any.
func checkEvidence(t *testing.T, events []Event, records map[string][]proof.Record) {
	t.Helper()
	want, got := map[string]int{}, map[string]int{}
	for _, e := range events {
		if e.Event == "delivered" || e.Event == "failed" {
			want[e.ID]++
		}
	}
	for _, list := range records {
		for _, r := range list {
			got[r.Event.String()]++
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("%d attempts have evidence, and %d have events", len(got), len(want))
	}
}
