package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/apiclient"
	"github.com/sealpost/sealpost/internal/evidence/proof"
)

type evidenceCmds struct {
	Show   evidenceShowCmd   `cmd:"" help:"Show what can be proven about one message or one event, and prove it."`
	Export evidenceExportCmd `cmd:"" help:"Write evidence to a file that proves itself, for an auditor."`
	Verify evidenceVerifyCmd `cmd:"" help:"Check an exported file, without a server."`
	Key    evidenceKeyCmd    `cmd:"" help:"Print the verifier keys, which an auditor must get by another way than the file."`
	Rotate evidenceRotateCmd `cmd:"" help:"Sign with a new key from now on; the old one goes on signing beside it."`
}

type evidenceExportCmd struct {
	Day       string `placeholder:"DAY" help:"Only this UTC day, such as 2026-11-25."`
	From      string `placeholder:"DAY" help:"First day."`
	To        string `placeholder:"DAY" help:"Last day."`
	Domain    string `placeholder:"DOMAIN" help:"Only deliveries of this sending domain."`
	Message   string `placeholder:"KEY" help:"Only this message, by its storage key."`
	MessageID string `name:"message-id" placeholder:"ID" help:"Only this message, by its Message-ID."`
	Recipient string `placeholder:"ADDRESS" help:"Only deliveries to this address."`
	Event     string `placeholder:"ID" help:"Only the attempt of this event."`
	File      string `placeholder:"FILE" help:"Write to this file, which must not exist. Standard output if not given."`
}

// query returns the parameters of the API.
func (c evidenceExportCmd) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"day": c.Day, "from": c.From, "to": c.To, "domain": c.Domain, "message": c.Message,
		"message-id": c.MessageID, "recipient": c.Recipient, "event": c.Event} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

// Run writes an export. A file that could not be written whole is removed.
func (c evidenceExportCmd) Run(ctx context.Context, s *session) (err error) {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	if c.File == "" {
		return client.ExportEvidence(ctx, c.query(), s.env.Stdout)
	}
	f, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // it holds addresses
	if err != nil {
		return usagef("%w; name a file that does not exist yet", err)
	}
	err = client.ExportEvidence(ctx, c.query(), f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(c.File))
	}
	s.note("written to %s; verify it with: sealpost tls evidence verify %s --verifier KEY", c.File, c.File)
	return nil
}

type evidenceVerifyCmd struct {
	File       string   `arg:"" help:"Exported file; - is standard input."`
	Verifier   []string `placeholder:"KEY" sep:"none" help:"Verifier key that you got by another way than the file; --key will do as well. May be given again, for files from before and after a change of keys."`
	Checkpoint string   `placeholder:"FILE" help:"A checkpoint of a day in the file that you kept earlier: its records must still be the first of that day."`
}

// Run verifies a file. It fails if anything in it does not hold.
func (c evidenceVerifyCmd) Run(ctx context.Context, s *session) error {
	o := proof.Options{Keys: c.Verifier}
	if s.Key != "" { // no server is asked, so it cannot be meant for one
		o.Keys = append(o.Keys, s.Key)
	}
	if c.Checkpoint != "" {
		kept, err := readSmall(c.Checkpoint)
		if err != nil {
			return &ExitError{ExitUsage, err}
		}
		o.Kept = kept
	}
	in := s.env.Stdin
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return &ExitError{ExitUsage, err}
		}
		defer f.Close()
		in = f
	}
	if _, err := proof.Keys(o.Keys); err != nil {
		return &ExitError{ExitUsage, err}
	}
	r, err := proof.Verify(ctx, in, o)
	if err != nil {
		return err
	}
	return s.showFindings(r)
}

// readSmall reads a file of at most 64 KiB.
func readSmall(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	const most = 64 << 10
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && len(b) > most {
		err = fmt.Errorf("%s is no checkpoint: it is too long", path)
	}
	return string(b), err
}

// showFindings prints what came of a verification.
func (s *session) showFindings(r proof.Report) error {
	if err := s.printReport(r); err != nil {
		return err
	}
	if !r.OK() {
		return fmt.Errorf("the evidence does not hold: %d problems", int64(len(r.Problems))+r.More)
	}
	if !r.Trusted {
		s.note("warning: this is measured against the key in the file itself. It shows that the file is whole, not whose it is: get the key by another way, and give it with --verifier")
	}
	return nil
}

func (s *session) printReport(r proof.Report) error {
	if s.json() {
		return s.writeValue(reportJSON(r))
	}
	for _, p := range r.Problems {
		if err := s.say("%s", p); err != nil {
			return err
		}
	}
	if r.More > 0 {
		if err := s.say("and %d more problems", r.More); err != nil {
			return err
		}
	}
	t := &table{head: []string{"DAY", "RECORDS IN ALL", "SIGNED", "STATE", "IN THE FILE", "SIGNED BY"}, none: "no day in the file"}
	for _, d := range r.Days {
		state := "open"
		if d.Sealed {
			state = "sealed"
		}
		here := "some: " + fmt.Sprint(d.Records)
		switch {
		case d.Dropped:
			here = "none: kept no longer"
		case d.Complete:
			here = "all"
		}
		t.add(d.Day, fmt.Sprint(d.Size), d.Time.Format(time.RFC3339), state, here, d.Origin)
	}
	if err := t.write(s.env.Stdout); err != nil {
		return err
	}
	if r.OK() {
		return s.say("%d records in the file, all proven", r.Records)
	}
	return nil
}

// reportJSON is a report for programs.
func reportJSON(r proof.Report) any {
	type problem struct {
		Line  int64  `json:"line"`
		Day   string `json:"day,omitempty"`
		Index *int64 `json:"index,omitempty"` // of the record
		Event string `json:"event,omitempty"`
		Text  string `json:"text"`
	}
	type day struct {
		Day    string    `json:"day"`
		Size   int64     `json:"size"`
		Root   string    `json:"root"`
		Time   time.Time `json:"time"`
		Sealed bool      `json:"sealed"`
		Origin string    `json:"origin"`

		Complete bool  `json:"complete"` // all of its records are in the file
		Dropped  bool  `json:"dropped"`  // none are, because the server keeps them no longer
		Records  int64 `json:"records"`
	}
	problems, days := []problem{}, []day{}
	for _, p := range r.Problems {
		j := problem{Line: p.Line, Day: p.Day, Event: p.Event, Text: p.Text}
		if p.Index >= 0 {
			j.Index = &p.Index
		}
		problems = append(problems, j)
	}
	for _, d := range r.Days {
		days = append(days, day{d.Day, d.Size, d.Root.String(), d.Time, d.Sealed, d.Origin, d.Complete, d.Dropped, d.Records})
	}
	return struct {
		Verified     bool      `json:"verified"`
		Trusted      bool      `json:"trusted"` // measured against keys that did not come with the file
		Records      int64     `json:"records"`
		Days         []day     `json:"days"`
		Problems     []problem `json:"problems"`
		MoreProblems int64     `json:"more_problems"`
	}{r.OK(), r.Trusted, r.Records, days, problems, r.More}
}

type evidenceShowCmd struct {
	ID string `arg:"" help:"Message-ID, storage key of a message, or id of an event."`
}

// maxFindings is the largest export that is shown: a message with a thousand recipients and
// some retries.
const maxFindings = 64 << 20

// Run shows what is proven about a message or event. The proof is checked here, with the
// server's keys.
func (c evidenceShowCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	keys, err := client.EvidenceKeys(ctx)
	if err != nil {
		return err
	}
	var queries []url.Values
	if id := bareID(c.ID); strings.Contains(id, "@") {
		queries = []url.Values{{"message-id": {id}}}
	} else { // a storage key looks like the id of an event
		queries = []url.Values{{"event": {id}}, {"message": {id}}}
	}
	for _, q := range queries {
		records, r, err := provenRecords(ctx, client, q, keys.Value.Keys)
		if err != nil {
			return err
		}
		if !r.OK() {
			return s.showFindings(r)
		}
		if len(records) > 0 {
			return s.showProven(records)
		}
	}
	return fmt.Errorf("no evidence of %q; records follow an attempt by a second or two, and are kept for retention.evidence", c.ID)
}

// A provenRecord is a record whose proof holds.
type provenRecord struct {
	proof.Record
	proof.Checkpoint
}

// provenRecords asks for records and verifies the answer.
func provenRecords(ctx context.Context, client *apiclient.Client, q url.Values, keys []string) (records []provenRecord, r proof.Report, err error) {
	var b bytes.Buffer
	if err := client.ExportEvidence(ctx, q, &limitedWriter{&b, maxFindings}); err != nil {
		return nil, r, err
	}
	r, err = proof.Verify(ctx, &b, proof.Options{Keys: keys, Each: func(r proof.Record, c proof.Checkpoint) {
		records = append(records, provenRecord{r, c})
	}})
	return records, r, err
}

// A limitedWriter refuses more than so many octets.
type limitedWriter struct {
	w    io.Writer
	left int
}

// Write writes, or fails.
func (l *limitedWriter) Write(b []byte) (int, error) {
	if l.left -= len(b); l.left < 0 {
		return 0, errors.New("there is too much to show; write it to a file with: sealpost tls evidence export")
	}
	return l.w.Write(b)
}

// showProven prints records for people or programs.
func (s *session) showProven(records []provenRecord) error {
	if s.json() {
		return s.writeValue(provenJSON(records))
	}
	t := &table{head: []string{"TIME", "OUTCOME", "RECIPIENT", "TLS", "MX HOST", "ATTEMPT", "REPLY", "PROOF"}}
	for _, r := range records {
		secured, host, attempt, said := "", "", "", ""
		if st := r.Status; st != nil {
			shown := &apiclient.DeliveryStatus{Code: st.Code, Message: st.Message, Description: st.Description, TLS: st.TLS, CertificateVerified: st.CertificateVerified}
			secured, said, attempt = tlsWord(string(r.Outcome), shown), replyText(shown), fmt.Sprint(st.AttemptNo)
			if st.MXHost != nil {
				host = *st.MXHost
			}
		}
		t.add(r.Record.Time.Format("2006-01-02 15:04:05Z"), string(r.Outcome), r.Recipient, secured, host, attempt, said,
			fmt.Sprintf("record %d of %d, signed %s by %s", r.Index, r.Size, r.Checkpoint.Time.Format("2006-01-02 15:04:05Z"), r.Origin))
	}
	if err := t.write(s.env.Stdout); err != nil {
		return err
	}
	return s.say("%d records, all proven; for an auditor write them to a file with: sealpost tls evidence export", len(records))
}

// provenJSON are records for programs: the record as it was signed, and what commits to it.
func provenJSON(records []provenRecord) any {
	type item struct {
		Event     string    `json:"event"`
		Time      time.Time `json:"time"`
		Outcome   string    `json:"outcome"`
		Domain    string    `json:"domain"`
		Message   string    `json:"message"`
		MessageID string    `json:"message-id"`
		Recipient string    `json:"recipient"`
		Status    any       `json:"delivery-status,omitempty"`
		Day       string    `json:"day"`
		Index     int64     `json:"index"`
		Size      int64     `json:"size"`
		Root      string    `json:"root"`
		SignedAt  time.Time `json:"signed-at"`
		SignedBy  string    `json:"signed-by"`
	}
	items := []item{}
	for _, r := range records {
		items = append(items, item{
			Event: r.Event.String(), Time: r.Record.Time, Outcome: string(r.Outcome), Domain: r.Domain, Message: r.Message.String(), MessageID: r.MessageID,
			Recipient: r.Recipient, Status: r.Status, Day: r.Day, Index: r.Index, Size: r.Size, Root: r.Root.String(), SignedAt: r.Checkpoint.Time, SignedBy: r.Origin,
		})
	}
	return struct {
		Items []item `json:"items"`
	}{items}
}

type evidenceKeyCmd struct{}

// Run prints the keys, the current one first.
func (evidenceKeyCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	a, err := client.EvidenceKeys(ctx)
	if err != nil {
		return err
	}
	return s.showKeys(a)
}

func (s *session) showKeys(a apiclient.Answer[apiclient.EvidenceKeys]) error {
	if s.json() {
		return s.writeJSON(a.JSON)
	}
	for _, k := range a.Value.Keys { // a line each, to be copied
		if err := s.say("%s", k); err != nil {
			return err
		}
	}
	return nil
}

type evidenceRotateCmd struct{}

// Run makes a new key current.
func (evidenceRotateCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	a, err := client.RotateEvidenceKey(ctx)
	if err != nil {
		return err
	}
	s.note("the first key signs from now on, and the second beside it; give the first to your auditors")
	return s.showKeys(a)
}
