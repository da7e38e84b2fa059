package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/apiclient"
)

type tlsImpactCmd struct {
	Domain string `arg:"" help:"Sending domain."`
	Days   int    `default:"30" placeholder:"N" help:"Look at the mail of the last N days, 1 to 365 (30)."`
	Probe  bool   `help:"Look at recipient domains whose facts are older than a day or missing, at most 50, without sending mail."`
}

// Run says what the four pairs of flags would do.
func (c tlsImpactCmd) Run(ctx context.Context, s *session) error {
	if c.Days < 1 || c.Days > 365 {
		return usagef("--days must be 1 to 365")
	}
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	if c.Probe && !s.json() {
		s.note("looking at recipient domains; this can take some minutes")
	}
	a, err := client.Impact(ctx, c.Domain, c.Days, c.Probe)
	if err != nil {
		return err
	}
	if s.json() {
		return s.writeJSON(a.JSON)
	}
	return s.showImpact(a.Value, cmp.Or(a.Date, time.Now()))
}

// shownLines is how many recipient domains, warnings or suggestions a list shows.
const shownLines = 10

// showImpact prints an answer for people. now is the server's clock.
func (s *session) showImpact(r apiclient.Impact, now time.Time) error {
	if r.Messages == 0 {
		_, err := fmt.Fprintf(s.env.Stdout, "no mail of %s in the last %d days: there is nothing to tell from\n", clean(r.Domain), r.Days)
		return err
	}
	if err := impactTable(r).write(s.env.Stdout); err != nil {
		return err
	}
	var b strings.Builder
	writeBasis(&b, r)
	for _, p := range r.Pairs {
		writeRecipients(&b, r, p, "not-delivered", "would not be delivered to", now)
		writeRecipients(&b, r, p, "plaintext", "would be in plaintext to", now)
	}
	writeRecipients(&b, r, current(r), "unknown", "is unknown for", now)
	writeWarnings(&b, r)
	writeSuggestions(&b, r)
	_, err := io.WriteString(s.env.Stdout, b.String())
	return err
}

// impactTable is one row for each pair; the domain's own is marked.
func impactTable(r apiclient.Impact) *table {
	t := &table{head: []string{"", "REQUIRE-TLS", "SKIP-VERIFICATION", "VERIFIED", "UNVERIFIED", "PLAINTEXT", "NOT DELIVERED", "UNKNOWN"}}
	for _, p := range r.Pairs {
		mark := " "
		if p.Current {
			mark = "*"
		}
		t.add(mark, yesOrNo(p.RequireTLS), yesOrNo(p.SkipVerification),
			shareCell(p.Verified), shareCell(p.Unverified), shareCell(p.Plaintext), shareCell(p.NotDelivered), shareCell(p.Unknown))
	}
	return t
}

func yesOrNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// shareCell shows a share. What is there but less than the last decimal is not zero.
func shareCell(s apiclient.Share) string {
	switch {
	case s.Messages == 0:
		return "0"
	case s.Percent < 0.1:
		return fmt.Sprintf("<0.1%% (%d)", s.Messages)
	}
	return fmt.Sprintf("%.1f%% (%d)", s.Percent, s.Messages)
}

func current(r apiclient.Impact) apiclient.ImpactPair {
	for _, p := range r.Pairs {
		if p.Current {
			return p
		}
	}
	return apiclient.ImpactPair{}
}

// writeBasis says what the table rests on.
func writeBasis(b *strings.Builder, r apiclient.Impact) {
	fmt.Fprintf(b, "\n* %s is set to this now. %s to %d recipient domains in the last %d days, each recipient counted once.\n",
		clean(r.Domain), count(r.Messages, "message"), len(r.Recipients), r.Days)
	if r.Others != nil {
		fmt.Fprintf(b, "%s went to further recipient domains, which are in the table but not listed below.\n", count(r.Others.Messages, "message"))
	}
	if !r.Scan.Complete {
		fmt.Fprintf(b, "Only mail since %s was looked at: reading stopped at a limit (%s) after %d events.\n",
			r.Scan.CoveredFrom.UTC().Format("2006-01-02 15:04 MST"), clean(r.Scan.CutBy), r.Scan.Events)
	}
	if r.OwnFlags > 0 {
		fmt.Fprintf(b, "%s set flags of their own; those win over the domain's, and are not in the table.\n", count(r.OwnFlags, "message"))
	}
	switch p := r.Probes; {
	case p == nil:
	case p.Wanted == 0:
		b.WriteString("No recipient domain had old or missing facts, so none was looked at.\n")
	default:
		fmt.Fprintf(b, "Of %d recipient domains with old or missing facts, %d were looked at now, %d within the hour before, %d not.\n", p.Wanted, p.Made, p.Reused, p.Declined)
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// pairName is a pair in words.
func pairName(p apiclient.FlagPair) string {
	switch {
	case p.RequireTLS && p.SkipVerification:
		return "require-tls and skip-verification"
	case p.RequireTLS:
		return "require-tls"
	case p.SkipVerification:
		return "skip-verification"
	}
	return "neither flag"
}

// writeRecipients lists the recipient domains for which mail would fare so under a pair.
func writeRecipients(b *strings.Builder, r apiclient.Impact, p apiclient.ImpactPair, delivery, words string, now time.Time) {
	t := &table{}
	more, assumed := 0, false
	for _, rc := range r.Recipients {
		n, why, host := fate(rc, p.FlagPair, delivery)
		assumed = assumed || strings.HasPrefix(why, "refused-") && !rc.Facts.AllHosts
		switch {
		case n == 0:
			continue
		case len(t.rows) == shownLines:
			more++
			continue
		}
		t.add("  "+clean(rc.Domain), fmt.Sprint(n), host, why, origin(rc, now))
	}
	if len(t.rows) == 0 {
		return
	}
	fmt.Fprintf(b, "\nWith %s, mail %s:\n", pairName(p.FlagPair), words)
	_ = t.write(b) // a strings.Builder takes everything
	if more > 0 {
		fmt.Fprintf(b, "  and %d more\n", more)
	}
	if assumed {
		b.WriteString("  (as far as their MX hosts are known: attempts end at the first that takes the message; --probe looks at all)\n")
	}
}

// fate is how many messages to a recipient domain would fare so under a pair, and why
// most of them.
func fate(rc apiclient.ImpactRecipient, pair apiclient.FlagPair, delivery string) (n int, why, host string) {
	for _, o := range rc.Outcomes {
		if o.FlagPair != pair {
			continue
		}
		for _, p := range o.Parts {
			if p.Delivery != delivery {
				continue
			}
			if n += p.Messages; why == "" {
				why, host = because(p), p.MXHost
			}
		}
	}
	return n, why, host
}

// because is why a part fares as it does, in a few words.
func because(p apiclient.ImpactPart) string {
	why := cmp.Or(p.Reason, p.Result)
	for _, more := range []string{strings.Join(p.VerifyErrors, ", "), p.Error} {
		if more != "" {
			why += ": " + cut(more, 80)
		}
	}
	return why
}

// origin says where the facts about a recipient domain come from, and how old they are.
func origin(rc apiclient.ImpactRecipient, now time.Time) string {
	if rc.Facts.At == nil {
		return "nothing known"
	}
	s := fmt.Sprintf("%s, %s", rc.Facts.From, age(now.Sub(*rc.Facts.At)))
	if rc.Facts.Problem != "" {
		s += "; probe: " + cut(rc.Facts.Problem, 60)
	}
	return s
}

// age is how long ago something was, roughly.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "just now"
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes old", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours old", int(d.Hours()))
	}
	return fmt.Sprintf("%d days old", int(d.Hours()/24))
}

// stoppedVerifying is the kind of warning about what has happened already.
const stoppedVerifying = "host-stopped-verifying"

// writeWarnings lists what is about to change for the worse.
func writeWarnings(b *strings.Builder, r apiclient.Impact) {
	if len(r.Warnings) == 0 {
		return
	}
	b.WriteString("\nWarnings:\n")
	for _, w := range r.Warnings[:min(len(r.Warnings), shownLines)] {
		fmt.Fprintf(b, "  %s (%s to %s): %s", clean(w.MXHost), count(w.Messages, "message"), someNames(w), warningText(w))
		switch {
		case w.Undelivered && w.Kind == stoppedVerifying:
			fmt.Fprintf(b, "; mail of %s is not delivered\n", clean(r.Domain))
		case w.Undelivered:
			fmt.Fprintf(b, "; mail of %s would not be delivered\n", clean(r.Domain))
		case w.Current:
			fmt.Fprintf(b, "; mail of %s is concerned as it is set now\n", clean(r.Domain))
		default:
			fmt.Fprintf(b, "; matters with %s\n", pairNames(w.Loses))
		}
	}
	if more := len(r.Warnings) - shownLines; more > 0 {
		fmt.Fprintf(b, "  and %d more\n", more)
	}
}

func warningText(w apiclient.ImpactWarning) string {
	day := func(t *time.Time) string {
		if t == nil {
			return "?"
		}
		return t.UTC().Format(time.DateOnly)
	}
	switch w.Kind {
	case "certificate-expires":
		return "its certificate expires on " + day(w.At)
	case "sts-testing-fails":
		return "an MTA-STS policy in testing would fail if it were enforced"
	case stoppedVerifying:
		return fmt.Sprintf("it verified last on %s, and not since %s", day(w.VerifiedUntil), day(w.At))
	}
	return clean(w.Kind)
}

func someNames(w apiclient.ImpactWarning) string {
	shown := w.Named[:min(len(w.Named), 3)]
	names := clean(strings.Join(shown, ", "))
	if more := w.Domains - len(shown); more > 0 {
		names += fmt.Sprintf(" and %d more", more)
	}
	return names
}

func pairNames(list []apiclient.FlagPair) string {
	names := make([]string, len(list))
	for i, p := range list {
		names[i] = pairName(p)
	}
	return strings.Join(slices.Compact(names), "; ")
}

// writeSuggestions lists the exceptions that would keep mail deliverable.
func writeSuggestions(b *strings.Builder, r apiclient.Impact) {
	if len(r.Suggestions) == 0 {
		return
	}
	b.WriteString("\nExceptions, with a reason and an end, that would keep mail deliverable:\n")
	t := &table{}
	for _, g := range r.Suggestions[:min(len(r.Suggestions), shownLines)] {
		target := clean(g.Target)
		if g.TargetIs == "mx-host" {
			target = fmt.Sprintf("MX host %s (%s)", target, count(g.Domains, "recipient domain"))
		}
		t.add("  "+target, g.Sets, count(g.Messages, "message")+" "+delivered(g.Delivery), "with "+pairNames(g.Flags))
	}
	_ = t.write(b) // a strings.Builder takes everything
	if more := len(r.Suggestions) - shownLines; more > 0 {
		fmt.Fprintf(b, "  and %d more\n", more)
	}
}

func delivered(delivery string) string {
	if delivery == "plaintext" {
		return "in plaintext"
	}
	return delivery
}
