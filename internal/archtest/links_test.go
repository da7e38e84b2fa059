package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	code    = regexp.MustCompile("(?s)```.*?```")
)

// anchors are the names by which the headings of a page are linked to, as GitHub makes them.
func anchors(page string) map[string]bool {
	names := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(code.ReplaceAllString(page, ""), -1) {
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r > 0x7f:
				return r
			}
			return -1
		}, strings.ToLower(m[1]))
		names[name] = true
	}
	return names
}

// Every relative link in the documents leads to a page, and to a heading if it names one.
func TestLinksResolve(t *testing.T) {
	root := filepath.Join("..", "..")
	pages, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"docs", "docs/*"} {
		more, _ := filepath.Glob(filepath.Join(root, dir, "*.md")) // the pattern is a good one
		pages = append(pages, more...)
	}
	found := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(string(text), ""), -1) {
			path, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(path, ":") {
				continue
			}
			found++
			target := page
			if path != "" {
				target = filepath.Join(filepath.Dir(page), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %s leads nowhere", page, m[1])
				continue
			}
			if anchor == "" {
				continue
			}
			if linked, err := os.ReadFile(target); err != nil || !anchors(string(linked))[anchor] {
				t.Errorf("%s: %s names no heading", page, m[1])
			}
		}
	}
	if found < 50 {
		t.Errorf("found %d links: the test does not read what it should", found)
	}
}

// The lists of guides and decisions name each page once, and the rooms of ARCHITECTURE
// have one row each.
func TestListsAreWhole(t *testing.T) {
	root := filepath.Join("..", "..")
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for dir, list := range map[string]string{"guides": "docs/README.md", "reference": "docs/README.md", "adr": "docs/adr/README.md"} {
		pages, _ := filepath.Glob(filepath.Join(root, "docs", dir, "*.md")) // the pattern is a good one
		if len(pages) == 0 {
			t.Errorf("docs/%s has no pages", dir)
		}
		for _, page := range pages {
			name := filepath.Base(page)
			if name == "README.md" {
				continue
			}
			want := "](" + dir + "/" + name + ")"
			if dir == "adr" {
				want = "](" + name + ")"
			}
			rows := 0
			for line := range strings.Lines(read(list)) {
				if strings.HasPrefix(line, "| [") && strings.Contains(line, want) {
					rows++
				}
			}
			if rows != 1 {
				t.Errorf("%s has %d rows for %s, want 1", list, rows, name)
			}
		}
	}
	seen := map[string]bool{}
	for line := range strings.Lines(read("ARCHITECTURE.md")) {
		cells := strings.SplitN(line, "|", 3)
		if len(cells) < 3 || !strings.Contains(cells[1], "`") {
			continue
		}
		for room := range strings.SplitSeq(cells[1], ",") {
			if room = strings.TrimSpace(room); seen[room] {
				t.Errorf("ARCHITECTURE.md has more than one row for %s", room)
			}
			seen[room] = true
		}
	}
}
