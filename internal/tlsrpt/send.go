package tlsrpt

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/sealpost/sealpost/internal/accept"
	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/tlsrpt/report"
)

// lookupTime bounds the search for a domain's record.
const lookupTime = 30 * time.Second

// sendDue makes one attempt for every report that is due.
func (r *Room) sendDue(ctx context.Context) {
	for ctx.Err() == nil {
		due, err := r.deps.Store.DueTLSReports(ctx, time.Now(), dueAtMax)
		if err != nil {
			if ctx.Err() == nil {
				r.deps.Log.Warn("TLS reports that are due were not found; trying again", "error", err)
			}
			return
		}
		var all sync.WaitGroup
		var failed sync.Once
		ok := true
		slots := make(chan struct{}, parallel)
		for _, d := range due {
			slots <- struct{}{}
			all.Go(func() {
				defer func() { <-slots }()
				if err := r.attempt(ctx, d); err != nil && ctx.Err() == nil {
					failed.Do(func() {
						ok = false
						r.deps.Log.Warn("the state of a TLS report was not written; trying again", "day", d.Day, "policy-domain", d.Domain, "error", err)
					})
				}
			})
		}
		all.Wait()
		if len(due) < dueAtMax || !ok {
			return
		}
	}
}

// attempt tries one report, at every destination that is left, and stores what came of it.
// An error is the store's, or ctx ended: the report then stands as it was last stored.
//
// What an earlier attempt came to and could not be written is written first. A report
// whose next attempt is not due by that is left alone: who has it does not get it every minute
// because our disk is full.
func (r *Room) attempt(ctx context.Context, d store.TLSReport) error {
	if u, ok := r.unwritten.Load(keyOf(d)); ok {
		d = u.(store.TLSReport)
		if err := r.store(ctx, d); err != nil {
			return err
		}
		if d.State != store.TLSReportWaiting || d.Due.After(time.Now()) {
			return nil
		}
	}
	lookup, cancel := context.WithTimeout(ctx, lookupTime)
	texts, err := r.deps.Resolver.LookupTXT(lookup, report.RecordName(d.Domain))
	cancel()
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return r.store(ctx, settle(d, "look up the TLSRPT record: "+reason(err), time.Now()))
	}
	destinations, err := report.ParseRecord(texts)
	switch {
	case errors.Is(err, report.ErrNoRecord) && len(d.Destinations) == 0:
		r.unasked.Add(1)
		return r.deps.Store.ForgetTLSReport(context.WithoutCancel(ctx), d.Day, d.Domain)
	case err != nil:
		return r.store(ctx, refuse(d, err.Error()))
	}
	load, err := r.load(ctx, d)
	if err != nil {
		return err
	}
	d.Destinations = merge(d.Destinations, destinations)
	for i := range d.Destinations {
		to := &d.Destinations[i]
		if to.Final {
			continue
		}
		r.deliver(ctx, load, destinations[i], to)
		if ctx.Err() != nil && !to.Done {
			return ctx.Err()
		}
		to.At = time.Now().UTC().Truncate(time.Second)
		// What was taken is stored at once, so that a crash repeats as little as possible.
		if to.Done && i < len(d.Destinations)-1 {
			if err := r.put(ctx, d); err != nil {
				return err
			}
		}
	}
	return r.store(ctx, settle(d, "", time.Now()))
}

// store writes a report after an attempt, and tells of its end.
func (r *Room) store(ctx context.Context, d store.TLSReport) error {
	if err := r.put(ctx, d); err != nil {
		return err
	}
	log := r.deps.Log.With("day", d.Day, "policy-domain", d.Domain, "report-id", d.ID, "attempts", d.Attempts)
	switch d.State {
	case store.TLSReportSent:
		r.sent.Add(1)
		log.Info("TLS report sent")
	case store.TLSReportRefused:
		r.refused.Add(1)
		log.Info("TLS report not sent: the domain's record cannot be used", "error", d.Note)
	case store.TLSReportGivenUp:
		r.givenUp.Add(1)
		log.Warn("TLS report given up: nobody took it", "error", d.Note)
	}
	return nil
}

// put writes a report, and remembers it if that fails. What happened must be written,
// whether or not we are stopping.
func (r *Room) put(ctx context.Context, d store.TLSReport) error {
	err := r.deps.Store.PutTLSReports(context.WithoutCancel(ctx), []store.TLSReport{d})
	if err != nil {
		r.unwritten.Store(keyOf(d), d)
		return err
	}
	r.unwritten.Delete(keyOf(d))
	return nil
}

// A reportKey is what tells reports apart.
type reportKey struct{ day, domain string }

func keyOf(d store.TLSReport) reportKey { return reportKey{d.Day, d.Domain} }

// A load is a report ready to go.
type load struct {
	day, domain string
	document    report.Document
	gzip        []byte
	filename    string
}

// load makes the report. The day is closed, so every attempt makes the same one.
func (r *Room) load(ctx context.Context, d store.TLSReport) (load, error) {
	counts, err := r.deps.Store.TLSCounts(ctx, d.Day, d.Domain)
	if err != nil {
		return load{}, err
	}
	doc, err := document(r.cfg, d.ID, d.Day, counts)
	if err != nil {
		return load{}, err
	}
	data, err := doc.Encode()
	if err != nil {
		return load{}, err
	}
	packed, err := report.Compress(data)
	if err != nil {
		return load{}, err
	}
	unique, _, _ := strings.Cut(d.ID, "@")
	return load{
		day: d.Day, domain: d.Domain, document: doc, gzip: packed,
		filename: report.Filename(r.cfg.From.Domain, d.Domain, doc.Dates, unique),
	}, nil
}

// deliver brings a report to one destination.
func (r *Room) deliver(ctx context.Context, l load, d report.Destination, to *store.TLSDestination) {
	to.Note, to.Unverified = "", false
	if d.URL != nil {
		r.post(ctx, l, d.URL.String(), to)
		return
	}
	id, err := r.mail(ctx, l, d.Mail)
	if err != nil {
		// Whatever the front door has against it, its operator can mend.
		to.Note = "our own server did not take the mail: " + reason(err)
		return
	}
	to.Done, to.Final, to.MessageID, to.Note = true, true, id, "queued"
}

// mail hands a report to the front door as a new message.
func (r *Room) mail(ctx context.Context, l load, to mail.Address) (messageID string, err error) {
	domain, err := r.door.SendingDomain(ctx, r.cfg.From)
	if err != nil {
		return "", err
	}
	unique, host, _ := strings.Cut(l.document.ID, "@")
	sum := sha256.Sum256([]byte(to.Key()))
	m := report.Mail{
		From: r.cfg.From, To: to, Submitter: r.cfg.From.Domain, Domain: l.domain,
		// The same mail has the same id, however often it is sent.
		MessageID: unique + "." + hex.EncodeToString(sum[:4]) + "@" + host,
		Date:      time.Now(), Filename: l.filename, Report: l.document, Gzip: l.gzip,
	}
	receipt, err := r.door.Accept(ctx, accept.Submission{
		Sender:      accept.Sender{Door: accept.SMTP, Domain: domain, Authenticated: true, KeyID: "tlsrpt"},
		ReversePath: r.cfg.From,
		Recipients:  []mail.Address{to},
		Raw:         bytes.NewReader(m.Bytes()),
		Report:      true,
		Options: []compose.Field{
			{Name: "o:dkim", Value: "yes"}, // RFC 8460 section 3: without it receivers must ignore the report
			{Name: "o:deliver-within", Value: "24h"},
			{Name: "o:suppress-headers", Value: "all"},
			// The two flags are for mail that would suffer from being read; a report must arrive.
			{Name: "o:require-tls", Value: "no"},
			{Name: "o:skip-verification", Value: "yes"},
		},
	})
	return receipt.MessageID, err
}
