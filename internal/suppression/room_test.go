package suppression

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
)

// A rig is a room on a real store.
type rig struct {
	dir    string
	store  *sqlite.Store
	room   *Room
	domain int64
	log    *bytes.Buffer
}

func newRig(t testing.TB) *rig {
	t.Helper()
	rg := &rig{dir: filepath.Join(t.TempDir(), "data"), log: &bytes.Buffer{}}
	rg.open(t)
	d := store.Domain{Name: "example.com", State: store.DomainActive}
	if err := rg.store.CreateDomain(t.Context(), &d); err != nil {
		t.Fatal(err)
	}
	rg.domain = d.ID
	t.Cleanup(func() {
		if err := rg.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return rg
}

func (rg *rig) open(t testing.TB) {
	t.Helper()
	s, err := sqlite.Open(context.Background(), sqlite.Options{Dir: rg.dir, MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	rg.store = s
	if rg.room, err = Open(context.Background(), filepath.Join(rg.dir, "imports"), s, slog.New(slog.NewTextHandler(rg.log, nil))); err != nil {
		t.Fatal(err)
	}
}

func (rg *rig) reopen(t testing.TB) {
	t.Helper()
	if err := rg.store.Close(); err != nil {
		t.Fatal(err)
	}
	rg.open(t)
}

func upload(text string) File {
	return File{Name: "list.csv", Size: int64(len(text)), Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }}
}

// take takes a file and reads what waits.
func (rg *rig) take(t testing.TB, list store.SuppressionList, text string) store.Import {
	t.Helper()
	if err := rg.room.Take(t.Context(), rg.domain, list, upload(text)); err != nil {
		t.Fatal(err)
	}
	if err := rg.room.readAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	return rg.latest(t)
}

func (rg *rig) latest(t testing.TB) store.Import {
	t.Helper()
	list, err := rg.store.ListImports(t.Context(), rg.domain)
	if err != nil || len(list) == 0 {
		t.Fatalf("%d imports, %v", len(list), err)
	}
	return list[0]
}

// entries lists a list, each entry in one line.
func (rg *rig) entries(t testing.TB, list store.SuppressionList) string {
	t.Helper()
	all, err := rg.store.ListSuppressions(t.Context(), store.SuppressionQuery{DomainID: rg.domain, List: list, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range all {
		lines = append(lines, strings.TrimSpace(strings.Join([]string{e.Value, e.Code, e.Text, strings.Join(e.Tags, "+"), e.Created.Format("2006")}, " ")))
	}
	return strings.Join(lines, "\n")
}

// files counts what lies in the folder of imports.
func (rg *rig) files(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(rg.dir, "imports"))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestImports(t *testing.T) {
	now := time.Now().UTC().Format("2006")
	for _, c := range []struct {
		name     string
		list     store.SuppressionList
		file     string
		want     string
		records  int64
		problems []string
	}{
		{"bounces, columns in another order", store.Bounces,
			"\xEF\xBB\xBFerror, Code ,ADDRESS,created_at,more\r\n\"5.1.1 no, \"\"never\"\"\",551,Ann@example.net,\"Thu, 13 Oct 2011 18:02:00 GMT\",x\r\n,,bob@example.net\r\n",
			"Ann@example.net 551 5.1.1 no, \"never\"  2011\nbob@example.net 550   " + now, 2, nil},
		{"unsubscribes", store.Unsubscribes, "address,tags,created_at\nann@example.net,*,1318528920\nbob@example.net,\"a,b\",\nbob@example.net,\"[\"\"C\"\"]\",\ncarl@example.net\n",
			"ann@example.net   * 2011\nbob@example.net   a+b+C " + now + "\ncarl@example.net   * " + now, 4, nil},
		{"complaints without a last line end", store.Complaints, "address\nann@example.net", "ann@example.net    " + now, 1, nil},
		{"an allowlist of addresses and domains", store.Allowlist, "value,type,reason,createdAt\nann@example.net,address,us,2011-10-13T18:02:00Z\nExample.org,domain,,\n",
			"ann@example.net  us  2011\nexample.org    " + now, 2, nil},
		{"bad lines are passed over and told", store.Bounces, "address,code,created_at\nann at example.net,550,\n,550,\nok@example.net,1,\nok2@example.net,552,someday\n\n\xff@example.net,550,\ngood@example.net,550,\n\"open@example.net,550\n",
			"good@example.net 550   " + now, 7, []string{
				"line 2: 'address' parameter is not a valid address. please check documentation", "line 3: Missing mandatory parameter: address",
				"line 4: 'code' parameter must be a reply code of three digits", "line 5: someday is not an RFC-2822 compliant date",
				"line 7: it is not UTF-8", "line 9: a quote is not closed"}},
		{"only a header", store.Bounces, "address\n", "", 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			rg := newRig(t)
			im := rg.take(t, c.list, c.file)
			if im.State != store.ImportDone || im.Records != c.records || im.Bad != int64(len(c.problems)) || !slices.Equal(im.Problems, c.problems) || im.Finished.IsZero() {
				t.Errorf("import %+v", im)
			}
			got := strings.ReplaceAll(rg.entries(t, c.list), "  ", " ")
			if want := strings.ReplaceAll(c.want, "  ", " "); strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if n := rg.files(t); n != 0 {
				t.Errorf("%d files left", n)
			}
			if !strings.Contains(rg.log.String(), "import of suppressions ended") {
				t.Errorf("log: %s", rg.log)
			}
		})
	}
}

func TestFilesWithoutHeaderAreRefused(t *testing.T) {
	rg := newRig(t)
	for _, c := range []struct {
		list store.SuppressionList
		file string
	}{
		{store.Bounces, ""}, {store.Bounces, "\n\n"}, {store.Bounces, "mail,code\n"}, {store.Bounces, "address,address\n"}, {store.Bounces, "\"address"},
		{store.Bounces, strings.Repeat("x", maxRecord+1) + "\naddress\n"}, {store.Unsubscribes, "domain\n"}, {store.Allowlist, "reason\n"}, {store.Bounces, "\xff,address\n"},
	} {
		if err := rg.room.Take(t.Context(), rg.domain, c.list, upload(c.file)); !errors.Is(err, ErrHeader) {
			t.Errorf("%.40q: %v", c.file, err)
		}
	}
	if n := rg.files(t); n != 0 {
		t.Errorf("%d files left", n)
	}
}

// An import that was cut off goes on where it stopped, and each of its records counts once.
func TestImportsOutliveTheProcess(t *testing.T) {
	var file strings.Builder
	file.WriteString("address\n")
	for i := range 5*together + 50 {
		if i%100 == 7 {
			file.WriteString("not an address\n")
			continue
		}
		fmt.Fprintf(&file, "u%d@example.net\n", i)
	}
	rg := newRig(t)
	if err := rg.room.Take(t.Context(), rg.domain, store.Complaints, upload(file.String())); err != nil {
		t.Fatal(err)
	}
	rg.reopen(t)
	// It is cut off right behind its first part.
	cut := &cutStore{Store: rg.store, left: 1}
	rg.room.store = cut
	if err := rg.room.readAll(t.Context()); err == nil {
		t.Fatal("it was not cut off")
	}
	if im := rg.latest(t); im.State != store.ImportRunning || im.Records != together {
		t.Fatalf("cut off at %+v", im)
	}
	rg.reopen(t)
	if n := rg.files(t); n != 1 {
		t.Fatalf("%d files after the restart", n)
	}
	if err := rg.room.readAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if im := rg.latest(t); im.State != store.ImportDone || im.Records != 5*together+50 || im.Bad != 11 || len(im.Problems) != maxProblems {
		t.Errorf("ended as %+v", im)
	}
	_, err := rg.store.Suppression(t.Context(), rg.domain, store.Complaints, fmt.Sprintf("u%d@example.net", 5*together+49))
	if err != nil {
		t.Error(err)
	}
}

// A cutStore loses its connection after some parts.
type cutStore struct {
	Store
	left int
}

func (c *cutStore) AdvanceImport(ctx context.Context, im *store.Import, entries []store.Suppression) error {
	if c.left--; c.left < 0 {
		return store.ErrClosed
	}
	return c.Store.AdvanceImport(ctx, im, entries)
}

func TestWhatIsLeftOverIsRemoved(t *testing.T) {
	rg := newRig(t)
	for _, name := range []string{"123.part", "99.csv"} {
		if err := os.WriteFile(filepath.Join(rg.dir, "imports", name), []byte("address\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	im := store.Import{DomainID: rg.domain, List: store.Bounces} // its file never came to be
	if err := rg.store.CreateImport(t.Context(), &im); err != nil {
		t.Fatal(err)
	}
	rg.reopen(t)
	if n := rg.files(t); n != 0 {
		t.Errorf("%d files left", n)
	}
	if err := rg.room.readAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if im := rg.latest(t); im.State != store.ImportFailed || len(im.Problems) != 1 {
		t.Errorf("import %+v", im)
	}
}

func TestImportsEndWithTheirDomain(t *testing.T) {
	rg := newRig(t)
	if err := rg.room.Take(t.Context(), rg.domain, store.Bounces, upload("address\nann@example.net\n")); err != nil {
		t.Fatal(err)
	}
	running, err := rg.store.UnfinishedImports(t.Context())
	if err != nil || len(running) != 1 {
		t.Fatal(running, err)
	}
	if err := rg.store.DeleteDomain(t.Context(), "example.com"); err != nil {
		t.Fatal(err)
	}
	if err := rg.room.read(t.Context(), &running[0]); err != nil {
		t.Fatal(err)
	}
	if n := rg.files(t); n != 0 {
		t.Errorf("%d files left", n)
	}
	if err := rg.room.Take(t.Context(), rg.domain, store.Bounces, upload("address\n")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("after the deletion: %v", err)
	}
	if n := rg.files(t); n != 0 {
		t.Errorf("%d files left", n)
	}
}

func TestADomainHasSomeImportsAtATime(t *testing.T) {
	rg := newRig(t)
	for range MaxRunning {
		if err := rg.room.Take(t.Context(), rg.domain, store.Bounces, upload("address\n")); err != nil {
			t.Fatal(err)
		}
	}
	if err := rg.room.Take(t.Context(), rg.domain, store.Bounces, upload("address\n")); !errors.Is(err, ErrBusy) {
		t.Errorf("one too many: %v", err)
	}
}

func TestRunReadsWhatComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))) // a time for which ids can be given
		rg := newRig(t)
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); rg.room.Run(ctx) }()
		for i := range 3 {
			if err := rg.room.Take(t.Context(), rg.domain, store.Bounces, upload(fmt.Sprintf("address\nu%d@example.net\n", i))); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if im := rg.latest(t); im.State != store.ImportDone || im.Records != 1 {
				t.Errorf("import %+v", im)
			}
		}
		stop()
		<-done
	})
}

func TestAdd(t *testing.T) {
	rg := newRig(t)
	for range 2 {
		if err := rg.room.AddUnsubscribe(t.Context(), rg.domain, "Ann@example.net", "news"); err != nil {
			t.Fatal(err)
		}
		if err := rg.room.AddUnsubscribe(t.Context(), rg.domain, "bob@example.net", ""); err != nil {
			t.Fatal(err)
		}
		if err := rg.room.AddComplaint(t.Context(), rg.domain, "carl@example.net"); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(strings.Fields(rg.entries(t, store.Unsubscribes)+" "+rg.entries(t, store.Complaints)), " "); !strings.HasPrefix(got, "Ann@example.net news ") || !strings.Contains(got, "bob@example.net * ") || !strings.Contains(got, "carl@example.net ") {
		t.Error(got)
	}
	if err := rg.room.AddComplaint(t.Context(), rg.domain, "nobody"); err == nil {
		t.Error("what is no address was added")
	}
	if err := rg.room.AddComplaint(t.Context(), rg.domain+9, "ann@example.net"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("to a domain that is not there: %v", err)
	}
}

// refused is a permanent failure as the queue writes it.
func refused(recipient, reason string, st event.Status) event.Record {
	return event.Record{Type: event.FailedPermanent, Recipient: recipient, Data: event.Data{Reason: reason, Status: &st}}
}

// Of all failures only those that the address's own host meant for it make bounces, and
// a follower that starts again adds nothing twice and nothing that was removed since.
func TestBouncesFollowTheLog(t *testing.T) {
	rg := newRig(t)
	if err := rg.store.PutSuppressions(t.Context(), rg.domain, store.Allowlist, []store.Suppression{{Value: "Partner.example", Created: time.Now()}, {Value: "vip@example.net", Created: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	follow := func() {
		t.Helper()
		f := Bounces(rg.store, rg.store, rg.store, slog.New(slog.NewTextHandler(rg.log, nil)))
		for more := true; more; {
			var err error
			if more, err = f.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	follow() // begins with the present
	hard := event.Status{AttemptNo: 1, Code: 550, EnhancedCode: "5.1.1", Message: "no such user", BounceType: "hard"}
	with := func(change func(*event.Status)) event.Status { st := hard; change(&st); return st }
	events := []event.Record{
		refused("Dead@example.net", "bounce", hard),
		refused("x@partner.example", "bounce", hard),
		refused("VIP@example.net", "bounce", hard),
		refused("later@example.net", "bounce", with(func(st *event.Status) { st.AttemptNo = 2 })),
		refused("local@example.net", "bounce", with(func(st *event.Status) { st.Local = true })),
		refused("soft@example.net", "generic", with(func(st *event.Status) { st.BounceType = "soft" })),
		refused("doubt@example.net", "bounce", with(func(st *event.Status) { st.BounceType = "soft" })),
		refused("block@example.net", "espblock", with(func(st *event.Status) { st.BounceType = "soft" })),
		refused("old@example.net", "old", event.Status{AttemptNo: 1, Code: 602, Message: "Too old", Local: true}),
		refused("gone@example.net", "suppress-bounce", event.Status{AttemptNo: 1, Code: 605, Local: true}),
		{Type: event.FailedTemporary, Recipient: "temp@example.net", Data: event.Data{Reason: "generic", Status: &event.Status{AttemptNo: 1, Code: 451}}},
		{Type: event.Delivered, Recipient: "fine@example.net", Data: event.Data{Status: &event.Status{AttemptNo: 1, Code: 250}}},
	}
	id := rg.store.NewID()
	for i := range events {
		events[i].Message, events[i].DomainID = id, rg.domain
	}
	m := &store.NewMessage{ID: id, DomainID: rg.domain, Meta: event.Meta{Domain: "example.com"}, Content: &store.Content{Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("")), nil }}, Events: events}
	if err := rg.store.Accept(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	follow()
	if got := strings.Fields(rg.entries(t, store.Bounces)); strings.Join(got[:len(got)-1], " ") != "Dead@example.net 550 5.1.1 no such user" {
		t.Errorf("bounces: %q", got)
	}
	lists, err := rg.store.Suppressed(t.Context(), rg.domain, []mail.Address{{Local: "dead", Domain: "example.net"}}, nil)
	if err != nil || len(lists) != 1 || lists[0] != store.Bounces {
		t.Errorf("suppressed: %v, %v", lists, err)
	}
	if err := rg.store.DeleteSuppression(t.Context(), rg.domain, store.Bounces, "dead@example.net", ""); err != nil {
		t.Fatal(err)
	}
	rg.reopen(t)
	follow()
	if got := rg.entries(t, store.Bounces); got != "" {
		t.Errorf("after it was removed by a person and the process began again: %s", got)
	}
}

// readCSV reads everything; bad records are counted.
func readCSV(text string) (records [][]string, bad int, err error) {
	c := newCSV(strings.NewReader(text))
	for {
		cells, err := c.read()
		var b badRecord
		switch {
		case err == io.EOF:
			return records, bad, nil
		case errors.As(err, &b):
			bad++
		case err != nil:
			return records, bad, err
		default:
			records = append(records, cells)
		}
	}
}

// What the standard library writes we read, and what else comes ends, is bounded and has lines that grow.
func FuzzCSV(f *testing.F) {
	f.Add("address,code\nann@example.net,550\n", "a", "b,\"c\"")
	f.Add("\"", "\r\n", "\"")
	f.Add("a,\"b\nc\"\"d\",e\r\n\r\n,\n", "", "x")
	f.Add("\xEF\xBB\xBFaddress\n\xff\n", " ", "\n")
	f.Fuzz(func(t *testing.T, text, one, two string) {
		records, bad, err := readCSV(text)
		if err != nil || len(records)+bad > strings.Count(text, "\n")+1 {
			t.Errorf("%d records, %d bad: %v", len(records), bad, err)
		}
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		want := []string{"k", one, two}
		if err := w.Write(want); err != nil {
			return
		}
		w.Flush()
		records, bad, err = readCSV(b.String())
		valid := strings.ToValidUTF8(one+two, "?") == one+two
		if err != nil || valid && bad == 0 && len(records) != 1 || !valid && len(records) != 0 {
			t.Fatalf("%q: %q, %d bad, %v", b.String(), records, bad, err)
		}
		if valid && bad == 0 && !strings.HasSuffix(two, "\r") && !slices.Equal(records[0], want) {
			t.Errorf("%q was read as %q", b.String(), records[0])
		}
		for _, list := range []store.SuppressionList{store.Bounces, store.Unsubscribes, store.Complaints, store.Allowlist} {
			s, err := Parse(list, Fields{Address: one, Domain: two, Code: two, Tags: splitTags(two), Created: two, Error: one}, time.Now())
			if err != nil {
				continue
			}
			if again, ok := Value(list, s.Value); !ok || again != s.Value {
				t.Errorf("%q became %q, and that %q", one, s.Value, again)
			}
		}
	})
}
