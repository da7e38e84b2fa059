package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// tomorrow is when the mail of these benchmarks is due, so that nothing but its acceptance is
// measured.
func tomorrow() string { return strconv.FormatInt(time.Now().Add(24*time.Hour).Unix(), 10) }

// BenchmarkAccept hands 10 KB messages over on both doors, from several numbers of clients that wait
// for each answer: accepted/s, and how long an answer takes. Every message is on disk before it. -benchtime
// 5000x is a good length.
func BenchmarkAccept(b *testing.B) {
	for _, door := range []string{"HTTP", "SMTP"} {
		for _, clients := range []int{1, 16, 64, 256} {
			b.Run(fmt.Sprintf("%s/%d-clients", door, clients), func(b *testing.B) {
				w := newWorld(b, false, 1)
				load := Load{
					Messages: b.N, Connections: min(clients, b.N), Sender: "bench@" + sendingDomain, Size: messageSize,
					Recipient: func(int) string { return "someone@d0.bench.test" },
					Header:    "X-Mailgun-Dkim: no\r\nX-Mailgun-Deliver-By: " + tomorrow() + "\r\n",
					Fields:    [][2]string{{"o:deliverytime", tomorrow()}},
				}
				before := w.cpu(b)
				b.ResetTimer()
				send := func() (Timing, error) { return load.HTTP(w.messages(), w.key) }
				if door == "SMTP" {
					send = func() (Timing, error) { return load.SMTP(w.submission) }
				}
				t, err := send()
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(b.N)/t.Total.Seconds(), "accepted/s")
				b.ReportMetric(float64(t.P50.Microseconds())/1000, "p50-ms")
				b.ReportMetric(float64(t.P99.Microseconds())/1000, "p99-ms")
				b.ReportMetric(float64((w.cpu(b)-before).Microseconds())/float64(b.N), "cpu-µs/msg")
				b.ReportMetric(float64(w.peak(b))/1024, "peak-MB")
			})
		}
	}
}

func (w *world) messages() string { return "http://" + w.api + "/v3/" + sendingDomain + "/messages" }

// BenchmarkBatch makes calls as Ghost's newsletters are made: 1,000 recipients with variables of
// their own, 100 KB of HTML with 80 personal links, signed: what one call takes, and of it on disk. The second
// time a client sends single messages beside them, whose answers must not wait for the batch.
func BenchmarkBatch(b *testing.B) {
	b.Run("alone", func(b *testing.B) { newWorld(b, false, 1).batches(b) })
	b.Run("beside-single-messages", func(b *testing.B) {
		w := newWorld(b, false, 1)
		stop, beside := make(chan struct{}), make(chan Timing, 1)
		go func() { beside <- w.singles(b, stop) }()
		w.batches(b)
		close(stop)
		t := <-beside
		b.ReportMetric(float64(t.P50.Microseconds())/1000, "single-p50-ms")
		b.ReportMetric(float64(t.P99.Microseconds())/1000, "single-p99-ms")
	})
}

func (w *world) batches(b *testing.B) {
	form, contentType := newsletter(b)
	before := w.cpu(b)
	b.ResetTimer()
	for range b.N {
		if err := w.post(form, contentType); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/call")
	b.ReportMetric(float64((w.cpu(b)-before).Milliseconds())/float64(b.N)/1000, "cpu-s/call")
	b.ReportMetric(float64(folderSize(b, w.data))/float64(b.N)/(1<<20), "MB-on-disk/call")
	b.ReportMetric(float64(w.peak(b))/1024, "peak-MB")
}

// newsletter is the form of a call.
func newsletter(b *testing.B) (form []byte, contentType string) {
	b.Helper()
	var buf bytes.Buffer
	m := multipart.NewWriter(&buf)
	variables := map[string]map[string]any{}
	field := func(name, value string) {
		if err := m.WriteField(name, value); err != nil {
			b.Fatal(err)
		}
	}
	for i := range 1000 {
		to := fmt.Sprintf("reader-%d@d0.bench.test", i)
		field("to", to)
		variables[to] = map[string]any{"name": fmt.Sprintf("Reader %d", i), "uuid": fmt.Sprintf("%032x", i*7919), "n": i,
			"list_unsubscribe": fmt.Sprintf("https://news.test/unsubscribe/?uuid=%032x&key=%064x", i*7919, i)}
	}
	text, err := json.Marshal(variables)
	if err != nil {
		b.Fatal(err)
	}
	var html strings.Builder
	html.WriteString("<!doctype html><html><body><p>Hi %recipient.name%,</p>")
	for i := 0; html.Len() < 100<<10; i++ {
		fmt.Fprintf(&html, `<p style="margin: 0 0 1.5em 0; line-height: 1.6em;">Paragraph %d of the “newsletter”, number %x.</p>`+"\n", i, i*104729)
		if i%10 == 0 {
			fmt.Fprintf(&html, `<p><a href="https://news.test/r/%x?m=%%recipient.uuid%%">a link</a></p>`+"\n", i*104729)
		}
	}
	html.WriteString(`<img src="https://news.test/open/%recipient.uuid%.gif"></body></html>`)
	for _, f := range [][2]string{
		{"from", "News <bench@" + sendingDomain + ">"}, {"subject", "News for %recipient.name%"}, {"html", html.String()}, {"text", "Hi %recipient.name%, this is the plain version."},
		{"recipient-variables", string(text)}, {"h:List-Unsubscribe", "<%recipient.list_unsubscribe%>"}, {"v:email-id", "0123456789abcdef01234567"},
		{"o:tag", "bulk-email"}, {"o:tag", "ghost-email"}, {"o:deliverytime", tomorrow()},
	} {
		field(f[0], f[1])
	}
	if err := m.Close(); err != nil {
		b.Fatal(err)
	}
	return buf.Bytes(), m.FormDataContentType()
}

func (w *world) post(form []byte, contentType string) error {
	return w.postFrom(bytes.NewReader(form), contentType)
}

func (w *world) postFrom(form io.Reader, contentType string) error {
	req, err := http.NewRequest("POST", w.messages(), form)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", contentType)
	req.SetBasicAuth("api", w.key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("HTTP %d: %s", resp.StatusCode, answer)
	}
	return err
}

// singles sends one message after the other until it is told to stop.
func (w *world) singles(b *testing.B, stop chan struct{}) Timing {
	var all []time.Duration
	for {
		select {
		case <-stop:
			return timing(all)
		default:
		}
		load := Load{Messages: 1, Connections: 1, Sender: "bench@" + sendingDomain, Size: messageSize,
			Recipient: func(int) string { return "someone@d0.bench.test" }, Fields: [][2]string{{"o:deliverytime", tomorrow()}}}
		t, err := load.HTTP(w.messages(), w.key)
		if err != nil {
			b.Error(err)
		}
		all = append(all, t.P50)
	}
}

// BenchmarkUploads has 100 clients upload 25 MB each at once and reports the largest memory of the server, and
// how many it put off because its disk was too slow (503). One round is enough: -benchtime 1x.
func BenchmarkUploads(b *testing.B) {
	const clients, size = 100, 18 << 20 // in base64 with its line ends just below 25 MiB
	w := newWorld(b, false, 1)
	var putOff atomic.Int64
	b.ResetTimer()
	for range b.N {
		var wg sync.WaitGroup
		for range clients {
			wg.Go(func() {
				form, contentType := upload(size)
				if err := w.postFrom(form, contentType); err != nil && strings.HasPrefix(err.Error(), "HTTP 503") {
					putOff.Add(1)
				} else if err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
	}
	b.StopTimer()
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/round")
	b.ReportMetric(float64(putOff.Load())/float64(b.N), "put-off/round")
	b.ReportMetric(float64(w.peak(b))/1024, "peak-MB")
}

// upload is a form with a file of that many octets, which is made while it is read.
func upload(size int) (io.Reader, string) {
	r, out := io.Pipe()
	m := multipart.NewWriter(out)
	go func() {
		for _, f := range [][2]string{{"from", "bench@" + sendingDomain}, {"to", "someone@d0.bench.test"}, {"text", "see attachment"}, {"o:deliverytime", tomorrow()}} {
			_ = m.WriteField(f[0], f[1]) // an error reaches the reader
		}
		part, err := m.CreateFormFile("attachment", "large.bin")
		if err == nil {
			_, err = io.CopyN(part, zeros{}, int64(size))
		}
		if err == nil {
			err = m.Close()
		}
		out.CloseWithError(err)
	}()
	return r, m.FormDataContentType()
}

// zeros is without end.
type zeros struct{}

// Read gives zeros.
func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func folderSize(b *testing.B, dir string) int64 {
	b.Helper()
	var total int64
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			if os.IsNotExist(err) {
				return nil
			}
			return err
		}
		if !strings.Contains(e.Name(), "reserve") {
			total += info.Size()
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return total
}
