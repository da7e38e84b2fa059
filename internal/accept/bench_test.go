package accept

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/signing"
	"github.com/sealpost/sealpost/internal/store"
)

// BenchmarkLetters writes and signs the copies of a newsletter of 100 KB, without a store: what one copy costs,
// and how much of it is its own. -benchtime 5x is a good length.
func BenchmarkLetters(b *testing.B) {
	for _, links := range []int{10, 600} {
		b.Run(fmt.Sprintf("%d-personal-links", links), func(b *testing.B) {
			key, err := signing.GenerateRSA()
			if err != nil {
				b.Fatal(err)
			}
			pem, err := key.PEM()
			if err != nil {
				b.Fatal(err)
			}
			d := domain("mg.example.com")
			d.DKIM = []store.DKIMKey{{Selector: "s", PrivatePEM: string(pem), Active: true}}
			s := manyLetters(1000, links)
			var own, size int64
			for b.Loop() {
				f := newFakeStore(b, d)
				r := testRoom(b, f, nil)
				count := &countingStore{fakeStore: f}
				r.intake = count
				if _, err := r.Accept(b.Context(), s); err != nil {
					b.Fatal(err)
				}
				own, size = count.own, count.size
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "µs/copy")
			b.ReportMetric(float64(own)/1000, "own-octets/copy")
			b.ReportMetric(float64(size)/1000, "octets/copy")
		})
	}
}

// manyLetters is a newsletter with some links that differ from reader to reader.
func manyLetters(readers, links int) Submission {
	s := newsletter()
	s.To = nil
	var variables strings.Builder
	for i := range readers {
		to := fmt.Sprintf("reader-%d@d%d.test", i, i%20)
		s.To = append(s.To, to)
		fmt.Fprintf(&variables, `,"%s":{"name":"Reader %d","uuid":"%032x","list_unsubscribe":"https://n.test/%d","message_id":"m%d@mg.example.com"}`, to, i, i*7919, i, i)
	}
	var html strings.Builder
	for i := 0; html.Len() < 100<<10; i++ {
		link := ""
		if i*links/600 != (i+1)*links/600 {
			link = "?m=%recipient.uuid%"
		}
		fmt.Fprintf(&html, `<p style="margin: 0 0 1.5em 0; line-height: 1.6em;">Paragraph %d of the “newsletter”: <a href="https://news.test/r/%x%s">a link</a>.</p>`+"\n", i, i*104729, link)
	}
	s.Draft.HTML = html.String()
	for i := range s.Options {
		if s.Options[i].Name == "recipient-variables" {
			s.Options[i].Value = "{" + variables.String()[1:] + "}"
		}
	}
	return s
}
