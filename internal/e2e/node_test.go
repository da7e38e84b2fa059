package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/smtptest"
)

// nodePatience bounds one script, and the installation of the clients.
const nodePatience = 5 * time.Minute

// The official JavaScript client, Nodemailer and a newsletter in the way of Ghost, each
// against a server of its own. Their versions are in testdata/node/package-lock.json.
func TestJavaScriptClients(t *testing.T) {
	t.Parallel()
	folder := nodeFolder(t)
	for _, script := range []string{"mailgunjs", "nodemailer", "ghost"} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			rg := w.startPublic(t)
			rg.open(t, "example.com")
			mx := w.receive(t, script, smtptest.Valid, smtptest.Behaviour{})
			host, port, err := net.SplitHostPort(rg.starttls)
			ok(t, err)
			given := map[string]any{
				"base": rg.base, "key": apiKey, "domain": "example.com", "to": mx.address(),
				"submission": map[string]string{"host": host, "port": port}, "serverName": serverName,
				"login": loginName + "@example.com", "password": password, "ca": string(w.pki.RootPEM),
			}
			runScript(t, folder, script, given)
			if script == "ghost" {
				given["member"] = rg.member(t, mx)
				runScript(t, folder, "ghostlater", given)
			}
			if len(mx.Messages()) == 0 {
				t.Error("the receiver got nothing")
			}
		})
	}
}

// member does what a member of a newsletter may do: opens it, unsubscribes by a link of ours, and complains.
// It returns who it was.
func (rg *rig) member(t *testing.T, mx *receiver) string {
	t.Helper()
	var letter smtptest.Message
	for _, m := range mx.Messages() {
		if bytes.Contains(m.Content, []byte("Subject: News for everybody")) {
			letter = m
		}
	}
	view, err := compose.ReadView(bytes.NewReader(letter.Content))
	ok(t, err)
	link := func(kind string) string {
		t.Helper()
		l := regexp.MustCompile(regexp.QuoteMeta(rg.base) + "/" + kind + "/[A-Za-z0-9_-]+").FindString(view.BodyHTML)
		if l == "" {
			t.Fatalf("no link /%s/ in the newsletter", kind)
		}
		return l
	}
	for _, r := range []struct{ method, link, body string }{{"GET", link("o"), ""}, {"POST", link("u"), "List-Unsubscribe=One-Click"}} {
		req, err := http.NewRequestWithContext(t.Context(), r.method, r.link, strings.NewReader(r.body))
		ok(t, err)
		req.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := rg.http.Do(req)
		ok(t, err)
		ok(t, resp.Body.Close())
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s %s: %s", r.method, r.link, resp.Status)
		}
	}
	id := strings.Trim(view.Header("Message-ID"), "<>")
	rg.call(t, "POST", "/v1/sealpost/domains/example.com/complaints", url.Values{"message-id": {id}, "recipient": {letter.Recipients[0]}})
	return letter.Recipients[0]
}

// runScript runs a script and makes each of its areas a test.
func runScript(t *testing.T, folder, name string, world map[string]any) {
	t.Helper()
	input, err := json.Marshal(world)
	ok(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), nodePatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", name+".mjs")
	cmd.Dir, cmd.Stdin = folder, bytes.NewReader(input)
	out, err := cmd.CombinedOutput()
	areas := 0
	for line := range strings.SplitSeq(string(out), "\n") {
		if what, isOK := strings.CutPrefix(line, "ok "); isOK {
			areas++
			t.Run(what, func(*testing.T) {})
		} else if what, bad := strings.CutPrefix(line, "not ok "); bad {
			areas++
			what, why, _ := strings.Cut(what, ": ")
			t.Run(what, func(t *testing.T) { t.Error(why) })
		}
	}
	if err != nil && !t.Failed() || areas == 0 {
		t.Errorf("%s: %v\n%s", name, err, out)
	}
}

// nodeFolder returns a folder with the scripts and the clients they use, which are
// installed once for each state of the lock file.
func nodeFolder(t *testing.T) string {
	t.Helper()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("no %s: install the Debian packages nodejs and npm", tool)
		}
	}
	source := filepath.Join("testdata", "node")
	lock, err := os.ReadFile(filepath.Join(source, "package-lock.json"))
	ok(t, err)
	sum := sha256.Sum256(lock)
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	modules := filepath.Join(cache, "sealpost-test", "node-"+hex.EncodeToString(sum[:6]))
	if _, err := os.Stat(filepath.Join(modules, "node_modules")); err != nil {
		install(t, source, modules)
	}
	folder := t.TempDir()
	scripts, err := filepath.Glob(filepath.Join(source, "*.mjs"))
	ok(t, err)
	for _, s := range scripts {
		text, err := os.ReadFile(s)
		ok(t, err)
		ok(t, os.WriteFile(filepath.Join(folder, filepath.Base(s)), text, 0o600))
	}
	ok(t, os.Symlink(filepath.Join(modules, "node_modules"), filepath.Join(folder, "node_modules")))
	return folder
}

// install puts the clients into a folder of their own, whole or not at all.
func install(t *testing.T, source, modules string) {
	t.Helper()
	ok(t, os.MkdirAll(filepath.Dir(modules), 0o700))
	draft, err := os.MkdirTemp(filepath.Dir(modules), "node-draft-")
	ok(t, err)
	defer os.RemoveAll(draft)
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc"} {
		text, err := os.ReadFile(filepath.Join(source, name))
		ok(t, err)
		ok(t, os.WriteFile(filepath.Join(draft, name), text, 0o600))
	}
	ctx, cancel := context.WithTimeout(t.Context(), nodePatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-progress")
	cmd.Dir = draft
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("the JavaScript clients cannot be installed (npm ci needs a registry): %v\n%s", err, out.String())
	}
	if err := os.Rename(draft, modules); err != nil {
		if _, there := os.Stat(filepath.Join(modules, "node_modules")); there != nil { // not another test's
			t.Fatal(err)
		}
	}
}
