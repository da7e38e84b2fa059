package bench

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/app"
	"github.com/sealpost/sealpost/internal/config"
	"github.com/sealpost/sealpost/internal/dnstest"
	"github.com/sealpost/sealpost/internal/smtptest"
)

const (
	serverVariable = "SEALPOST_TEST_BENCH_SERVER" // names the configuration; set in the server's process
	// profileVariable names a file: each server writes its CPU profile there, with its
	// process id behind the name.
	profileVariable = "SEALPOST_TEST_BENCH_PROFILE"
	sendingDomain   = "sender.test"
	messageSize     = 10 << 10
	connections     = 50
)

// TestMain is also the server: the benchmark starts its own binary again, so that
// the server has a process whose CPU and memory can be read.
func TestMain(m *testing.M) {
	path := os.Getenv(serverVariable)
	if path == "" {
		os.Exit(m.Run())
	}
	if err := serve(path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(path string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if profile := os.Getenv(profileVariable); profile != "" {
		f, err := os.Create(fmt.Sprintf("%s.%d", profile, os.Getpid()))
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	cfg, err := config.Load(path, nil)
	if err != nil {
		return err
	}
	return app.Run(ctx, cfg, app.Options{Ready: func(app.Addresses) { fmt.Println("ready") }})
}

// BenchmarkRelay sends 10 KB messages through the whole server over SMTP, from 50
// connections to a receiver: accepted/s and delivered/s, CPU and memory of the
// server's process. -benchtime 20000x is a good length.
func BenchmarkRelay(b *testing.B) {
	for _, c := range []struct {
		name         string
		tls          bool
		destinations int
		header       string
	}{
		{"plaintext/1-destination", false, 1, "X-Mailgun-Dkim: no\r\n"},
		{"plaintext/1000-destinations", false, 1000, "X-Mailgun-Dkim: no\r\n"},
		{"verified-TLS/1-destination", true, 1, "X-Mailgun-Dkim: no\r\nX-Mailgun-Require-TLS: yes\r\n"},
		{"verified-TLS/1000-destinations", true, 1000, "X-Mailgun-Dkim: no\r\nX-Mailgun-Require-TLS: yes\r\n"},
		{"verified-TLS+DKIM/1-destination", true, 1, "X-Mailgun-Require-TLS: yes\r\n"},
	} {
		b.Run(c.name, func(b *testing.B) {
			w := newWorld(b, c.tls, c.destinations)
			load := Load{
				Messages: b.N, Connections: min(connections, b.N), Sender: "bench@" + sendingDomain, Size: messageSize, Header: c.header,
				Recipient: func(i int) string { return fmt.Sprintf("someone@d%d.bench.test", i%c.destinations) },
			}
			w.measure(b, func() (Timing, error) { return load.SMTP(w.submission) })
		})
	}
}

// BenchmarkRelayHTTP is the same with the HTTP API as the door.
func BenchmarkRelayHTTP(b *testing.B) {
	w := newWorld(b, false, 1)
	load := Load{
		Messages: b.N, Connections: min(connections, b.N), Sender: "bench@" + sendingDomain, Size: messageSize,
		Recipient: func(int) string { return "someone@d0.bench.test" },
	}
	w.measure(b, func() (Timing, error) {
		return load.HTTP("http://"+w.api+"/v3/"+sendingDomain+"/messages", w.key)
	})
}

// A world is a server in its own process, a resolver and a receiver.
type world struct {
	sink            *Sink
	server          *exec.Cmd
	api, submission string
	key             string
	data            string // the server's folder
}

func newWorld(b *testing.B, secure bool, destinations int) *world {
	b.Helper()
	dir := b.TempDir()
	pki := smtptest.NewPKI(b)
	w := &world{api: freePort(b), submission: freePort(b), data: filepath.Join(dir, "data")}
	var receiver *tls.Config
	if secure {
		receiver = &tls.Config{Certificates: []tls.Certificate{pki.Cert(b, smtptest.Valid, "*.bench.test")}}
	}
	w.sink = NewSink(receiver)
	b.Cleanup(w.sink.Close)
	port, zone := w.listen(b, destinations)
	dns := dnstest.Start(b, dnstest.Zone{Origin: "bench.test", Records: zone})
	resolver, err := dns.Listen()
	if err != nil {
		b.Fatal(err)
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
		return path
	}
	ca := write("ca.pem", string(pki.RootPEM))
	path := write("sealpost.toml", fmt.Sprintf(`
[server]
hostname = "relay.test"
data_dir = %q
[http]
listen = %q
admin_listen = ""
[submission]
listen = %q
trusted_networks = ["127.0.0.0/8"]
[accept]
allow_unverified_domains = true
[delivery]
port = %d
resolver = %q
allow_private_mx = true
ca_file = %q
[log]
level = "warn"
`, filepath.Join(dir, "data"), w.api, w.submission, port, resolver, ca))
	w.start(b, path, app.SocketPath(filepath.Join(dir, "data")))
	return w
}

// listen opens the receiver's addresses, one for each destination, and returns their
// port and the zone that names them.
func (w *world) listen(b *testing.B, destinations int) (port int, zone string) {
	b.Helper()
	var z strings.Builder
	for i := range destinations {
		address := fmt.Sprintf("127.10.%d.%d", i/250, i%250+1)
		l, err := net.Listen("tcp4", net.JoinHostPort(address, strconv.Itoa(port)))
		if err != nil {
			b.Fatal(err)
		}
		port = l.Addr().(*net.TCPAddr).Port
		w.sink.Serve(l)
		fmt.Fprintf(&z, "d%d MX 10 mx%d\nmx%d A %s\n", i, i, i, address)
	}
	return port, z.String()
}

func freePort(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start starts the server and prepares its domain and key.
func (w *world) start(b *testing.B, configuration, socket string) {
	b.Helper()
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	w.server = exec.Command(exe)
	w.server.Env = append(os.Environ(), serverVariable+"="+configuration)
	w.server.Stderr = os.Stderr
	output, err := w.server.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := w.server.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = w.server.Process.Signal(syscall.SIGTERM)
		_ = w.server.Wait()
	})
	if line, err := bufio.NewReader(output).ReadString('\n'); line != "ready\n" {
		b.Fatalf("the server said %q: %v", line, err)
	}
	operator := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}, Timeout: 10 * time.Second}
	post := func(path string, form url.Values) map[string]any {
		resp, err := operator.PostForm("http://sealpost"+path, form)
		if err != nil {
			b.Fatal(err)
		}
		defer resp.Body.Close()
		var answer map[string]any
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK {
			b.Fatalf("%s: %s %v %v", path, resp.Status, answer, err)
		}
		return answer
	}
	post("/v3/domains", url.Values{"name": {sendingDomain}})
	w.key = post("/v1/sealpost/keys", url.Values{})["key"].(map[string]any)["secret"].(string)
}

// measure runs the load and waits until all of it has arrived.
func (w *world) measure(b *testing.B, load func() (Timing, error)) {
	arrived := w.sink.Expect(int64(b.N))
	before := w.cpu(b)
	b.ResetTimer()
	start := time.Now()
	t, err := load()
	if err != nil {
		b.Fatal(err)
	}
	select {
	case <-arrived:
	case <-time.After(5 * time.Minute):
		b.Fatalf("%d of %d messages arrived", w.sink.Received(), b.N)
	}
	total := time.Since(start)
	b.StopTimer()
	n := float64(b.N)
	b.ReportMetric(0, "ns/op") // a rate says more
	b.ReportMetric(n/t.Total.Seconds(), "accepted/s")
	b.ReportMetric(float64(t.P99.Microseconds())/1000, "accept-p99-ms")
	b.ReportMetric(n/total.Seconds(), "delivered/s")
	b.ReportMetric(float64((w.cpu(b)-before).Microseconds())/n, "cpu-µs/msg")
	b.ReportMetric(float64(w.peak(b))/1024, "peak-MB")
	b.ReportMetric(float64(w.sink.Connections()), "connections")
}

// cpu returns the user and system time of the server's process.
func (w *world) cpu(b *testing.B) time.Duration {
	b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", w.server.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), ") ") // behind the name, which may hold spaces
	fields := strings.Fields(rest)
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond // USER_HZ is 100 everywhere
}

// peak returns the largest resident memory of the server's process in KiB.
func (w *world) peak(b *testing.B) int64 {
	b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.server.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			return n
		}
	}
	b.Fatal("no VmHWM")
	return 0
}
