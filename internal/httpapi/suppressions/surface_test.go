package suppressions

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
)

// A batch has up to 1,000 entries, and is taken whole or not at all.
func TestBatchSize(t *testing.T) {
	rg := newRig(t)
	batch := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`{"address":"u%d@example.net","code":%d}`, i, 500+i%60))
		}
		return "[" + strings.Join(list, ",") + "]"
	}
	if w := rg.call("POST", "/v3/example.com/bounces", "application/json", batch(1001)); w.Code != 400 || !strings.Contains(w.Body.String(), `"Batch size should be less than 1000"`) {
		t.Errorf("1,001 entries: %d %s", w.Code, w.Body)
	}
	if w := rg.call("POST", "/v3/example.com/bounces", "application/json", batch(1000)); w.Code != 200 || !strings.Contains(w.Body.String(), `"1000 addresses have been added to the bounces table"`) {
		t.Errorf("1,000 entries: %d %s", w.Code, w.Body)
	}
	// Through all of it by the links, forth and back.
	next, seen := "/v3/example.com/bounces?limit=300", 0
	var previous string
	for range 10 {
		var page struct {
			Items  []bounceItem `json:"items"`
			Paging door.Paging  `json:"paging"`
		}
		w := rg.call("GET", next, "", "")
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
			t.Fatal(err)
		}
		if len(page.Items) == 0 {
			break
		}
		seen += len(page.Items)
		next, previous = strings.TrimPrefix(page.Paging.Next, "https://mail.example.net"), strings.TrimPrefix(page.Paging.Previous, "https://mail.example.net")
	}
	if seen != 1000 {
		t.Errorf("%d entries by the links to the next page", seen)
	}
	if w := rg.call("GET", previous, "", ""); strings.Count(w.Body.String(), `"code"`) != 300 {
		t.Errorf("the page before the last: %s", w.Body)
	}
}

// A file is read in the background, and what became of it is told.
func TestImportIsTold(t *testing.T) {
	rg := newRig(t)
	rg.work(t)
	body := "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\naddress\nann@example.net\nnobody\n\r\n--B--\r\n"
	if w := rg.call("POST", "/v3/example.com/complaints/import", "multipart/form-data; boundary=B", body); w.Code != 202 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	<-rg.ended
	w := rg.call("GET", "/v1/sealpost/imports/example.com", "", "")
	for _, want := range []string{`"state":"done"`, `"records":2`, `"bad":1`, `line 3: 'address' parameter is not a valid address`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s in %s", want, w.Body)
		}
	}
	if w := rg.call("GET", "/v3/example.com/complaints/ann@example.net", "", ""); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestFilesThatAreTooLarge(t *testing.T) {
	rg := newRig(t)
	body := "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\naddress\n" + strings.Repeat("x", 25<<20) + "\r\n--B--\r\n"
	if w := rg.call("POST", "/v3/example.com/bounces/import", "multipart/form-data; boundary=B", body); w.Code != 413 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if list, err := rg.store.ListImports(t.Context(), rg.domains["example.com"]); err != nil || len(list) != 0 {
		t.Errorf("imports %v, %v", list, err)
	}
}

// Whatever JSON comes: entries within bounds, or a refusal.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"address":"ann@example.net","code":550}`, `[{"address":"a@b.example","tags":["x"]},{"tag":"y"}]`, `[]`, `null`, `[null]`, `{"code":1e3,"tags":"x"}`, `{"address":["a"]}`, ``} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if !json.Valid(body) {
			return // refused before it comes here
		}
		entries, many, err := parseJSON(body)
		var p *door.Problem
		switch {
		case err != nil && (!errors.As(err, &p) || p.Status != 400):
			t.Errorf("%q: %v", body, err)
		case err == nil && (len(entries) == 0 || len(entries) > store.MaxSuppressions || !many && len(entries) != 1):
			t.Errorf("%q: %d entries, many %v", body, len(entries), many)
		}
	})
}
