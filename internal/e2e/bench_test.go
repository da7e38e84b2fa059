package e2e

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/smtptest"
)

// uploads is how many large messages arrive at once.
const uploads = 8

// BenchmarkLargeUploads measures the memory in use while eight messages with 18 MB of
// attachment, 25 MB as they travel, are uploaded at once. The uploads are generated as they
// are read, and the recipient's host does not answer, so what is counted is
// the server's, and little else. heap-peak-MB is the largest live and not yet collected
// heap above that of the idle server; total-peak-MB is all memory of the Go runtime.
func BenchmarkLargeUploads(b *testing.B) {
	w := newWorld(b)
	rg := w.start(b)
	rg.open(b, plainDomain)
	// Nobody answers here, so nothing holds a copy of the mail but the server.
	w.publish(b, "silent.test", "@ MX 10 mx\nmx A 127.0.0.9")
	runtime.GC()
	idle, _ := memory()
	for b.Loop() {
		stop := watchMemory()
		var wg sync.WaitGroup
		for n := range uploads {
			wg.Go(func() {
				if err := rg.upload(n); err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
		heap, total := stop()
		b.ReportMetric(float64(heap-min(idle, heap))/1e6, "heap-peak-MB")
		b.ReportMetric(float64(total)/1e6, "total-peak-MB")
	}
	rg.call(b, "DELETE", "/v3/"+plainDomain+"/envelopes", nil)
	b.SetBytes(uploads * attachmentSize)
}

const attachmentSize = 18_000_000

// upload posts one large message without ever holding it.
func (rg *rig) upload(n int) error {
	const boundary = "a-boundary-of-the-benchmark"
	part := func(name, value string) string {
		return "--" + boundary + "\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n"
	}
	head := part("from", "bob@"+plainDomain) + part("to", fmt.Sprintf("r%d@silent.test", n)) + part("subject", "big") + part("text", "x") +
		"--" + boundary + "\r\nContent-Disposition: form-data; name=\"attachment\"; filename=\"big.bin\"\r\nContent-Type: application/octet-stream\r\n\r\n"
	body := &repeated{head: head, block: strings.Repeat("0123456789abcdef", 1024), left: attachmentSize, tail: "\r\n--" + boundary + "--\r\n"}
	req, err := http.NewRequest("POST", rg.base+"/v3/"+plainDomain+"/messages", body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "multipart/form-data; boundary="+boundary)
	status, data, err := rg.send(rg.http, req)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%d %s", status, data)
	}
	return err
}

// A repeated is a body that is made while it is read: a head, a block over and over, a tail.
type repeated struct {
	head, block, tail string
	left              int
}

func (r *repeated) Read(p []byte) (int, error) {
	switch {
	case r.head != "":
		n := copy(p, r.head)
		r.head = r.head[n:]
		return n, nil
	case r.left > 0:
		n := copy(p, r.block[:min(len(r.block), r.left)])
		r.left -= n
		return n, nil
	}
	if r.tail == "" {
		return 0, io.EOF
	}
	n := copy(p, r.tail)
	r.tail = r.tail[n:]
	return n, nil
}

// memory returns the octets of heap objects and of everything the Go runtime holds.
func memory() (heap, total uint64) {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64(), s[1].Value.Uint64() - s[2].Value.Uint64()
}

// watchMemory looks at the memory every millisecond until the returned function is
// called, which returns the largest values seen.
func watchMemory() func() (heap, total uint64) {
	quit, done := make(chan struct{}), make(chan struct{})
	var heap, total uint64
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			h, t := memory()
			heap, total = max(heap, h), max(total, t)
			select {
			case <-tick.C:
			case <-quit:
				return
			}
		}
	}()
	return func() (uint64, uint64) { close(quit); <-done; return heap, total }
}

// BenchmarkMessages measures whole messages through everything: HTTP, storage,
// signature, TLS, delivery, record.
func BenchmarkMessages(b *testing.B) {
	w := newWorld(b)
	rg := w.start(b)
	rg.open(b, plainDomain)
	to := w.receive(b, "valid", smtptest.Valid, smtptest.Behaviour{})
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := rg.submit(plainDomain, "messages", short(to.address())); err != nil {
				b.Error(err)
			}
		}
	})
	rg.settle(b)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}
