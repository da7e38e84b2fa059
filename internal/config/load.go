package config

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// maxFile bounds the file in octets; an honest one has a few thousand.
const maxFile = 1 << 20

// prefix begins the names of environment variables that override settings:
// SEALPOST_HTTP_LISTEN is http.listen.
const prefix = "SEALPOST_"

// Find returns the configuration file: the one that was asked for, or the first that exists of
// ./sealpost.toml and /etc/sealpost/sealpost.toml. Where none exists its error wraps ErrNoFile, unless
// the environment names the host, which is enough to run: then the path is empty, as Load takes it.
func Find(explicit string, environ []string) (string, error) {
	if explicit != "" {
		if _, err := os.Stat(explicit); err != nil {
			return "", fmt.Errorf("open the configuration: %w; write it with: sealpost init -c %s", err, explicit)
		}
		return explicit, nil
	}
	usual := []string{"sealpost.toml", "/etc/sealpost/sealpost.toml"}
	for _, path := range usual {
		_, err := os.Stat(path)
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("open the configuration: %w", err)
		}
	}
	if slices.ContainsFunc(environ, func(e string) bool { return strings.HasPrefix(e, prefix+"SERVER_HOSTNAME=") }) {
		return "", nil
	}
	return "", fmt.Errorf("%w: neither ./%s nor %s exists; write one with: sealpost init", ErrNoFile, usual[0], usual[1])
}

// Load reads a file and the environment (as os.Environ returns it), which overrides the file. An
// empty path is an empty file in the working folder. Relative paths in the settings count from
// the folder of the file, wherever they come from. Mistakes come all at once as *Error.
func Load(path string, environ []string) (Config, error) {
	if path == "" {
		return Parse("", nil, environ)
	}
	file, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("open the configuration: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return Config{}, fmt.Errorf("read the configuration: %w", err)
	}
	return Parse(path, data, environ)
}

// Parse is Load with the contents of the file at hand; name is its path.
func Parse(name string, data []byte, environ []string) (Config, error) {
	base, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return Config{}, fmt.Errorf("find the folder of %s: %w", name, err)
	}
	r := reader{config: Default(), name: name, fields: allFields(), origin: make(map[string]origin)}
	if name == "" {
		base, r.name = "", "(no file)"
	}
	if err := r.file(data); err != nil {
		return Config{}, &Error{[]Problem{*err}}
	}
	r.environment(environ)
	r.automatic()
	r.check()
	r.config.resolvePaths(base)
	if len(r.problems) > 0 {
		return Config{}, &Error{r.problems}
	}
	return r.config, nil
}

// hidden is shown instead of a value that may hold a password.
const hidden = `"…"`

// origin is where a value came from.
type origin struct {
	where string
	value string // as it was written
	bad   bool   // it could not be read, and a problem says so
}

// reader collects the settings and the mistakes of one Parse.
type reader struct {
	config   Config
	name     string
	fields   map[string]field
	origin   map[string]origin // of the fields that were set, by key
	problems []Problem
}

// file applies the settings of the file. It returns the one problem that hides all
// others: the file cannot be read at all.
func (r *reader) file(data []byte) *Problem {
	if len(data) > maxFile {
		return &Problem{Where: r.name, Remedy: "the file is larger than 1 MiB; this is hardly a configuration"}
	}
	var document map[string]any
	if err := toml.Unmarshal(data, &document); err != nil {
		where := r.name
		if at, ok := errors.AsType[*toml.DecodeError](err); ok {
			line, column := at.Position()
			where = fmt.Sprintf("%s:%d:%d", r.name, line, column)
		}
		remedy := strings.TrimPrefix(err.Error(), "toml: ") + "; the file must be valid TOML (https://toml.io)"
		return &Problem{Where: where, Remedy: remedy}
	}
	at := lines(data)
	var values []entry
	flatten("", document, func(key string, value any) { values = append(values, entry{lineOf(at, key), key, value}) })
	slices.SortFunc(values, func(a, b entry) int {
		if a.line != b.line {
			return a.line - b.line
		}
		return strings.Compare(a.key, b.key)
	})
	for _, v := range values {
		r.set(v)
	}
	return nil
}

// entry is one key of the file with its value.
type entry struct {
	line  int
	key   string
	value any
}

// flatten calls each with every value of a document, by its dotted name. A section without
// entries changes nothing; any other empty table is a value in the wrong place.
func flatten(parent string, table map[string]any, each func(key string, value any)) {
	for _, name := range slices.Sorted(maps.Keys(table)) {
		key := join(parent, name)
		inner, isTable := table[name].(map[string]any)
		switch {
		case isTable && len(inner) > 0:
			flatten(key, inner, each)
		case isTable && parent == "" && isSection(name):
		default:
			each(key, table[name])
		}
	}
}

// join makes a dotted name. A name that has a dot of its own is quoted, as TOML does.
func join(parent, name string) string {
	if name == "" || strings.ContainsRune(name, '.') {
		name = quote(name)
	}
	if parent == "" {
		return name
	}
	return parent + "." + name
}

func isSection(name string) bool {
	return slices.ContainsFunc(sections(), func(s section) bool { return s.name == name })
}

func (r *reader) set(e entry) {
	where := fmt.Sprintf("%s:%d", r.name, e.line)
	f, known := r.fields[e.key]
	if !known {
		r.problems = append(r.problems, Problem{Where: where, Field: cut(e.key), Remedy: "there is no such setting" + r.suggest(e.key)})
		return
	}
	value := written(e.value)
	if f.secret {
		value = hidden
	}
	err := set(f.target(&r.config), e.value)
	r.origin[e.key] = origin{where, value, err != nil}
	if err != nil {
		r.problems = append(r.problems, Problem{where, e.key, value, err.Error()})
	}
}

// environment applies the variables that name settings.
func (r *reader) environment(environ []string) {
	byVariable := make(map[string]field, len(r.fields))
	for key, f := range r.fields {
		byVariable[Variable(key)] = f
	}
	for _, e := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, prefix) || foreign(name) {
			continue
		}
		f, known := byVariable[name]
		if !known {
			r.problems = append(r.problems, Problem{Where: "environment", Field: cut(name), Remedy: "no setting has this variable" + r.suggest(name)})
			continue
		}
		shown := quote(cut(value))
		if f.secret {
			shown = hidden
		}
		err := setText(f.target(&r.config), value)
		if earlier := r.origin[f.key]; earlier.bad {
			// The mistake in the file stays a mistake: one day the variable is gone.
			continue
		}
		r.origin[f.key] = origin{name, shown, err != nil}
		if err != nil {
			r.problems = append(r.problems, Problem{name, f.key, shown, err.Error()})
		}
	}
}

// Variable returns the environment variable that overrides a setting:
// SEALPOST_HTTP_LISTEN for http.listen.
func Variable(key string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// foreign reports whether a SEALPOST_ variable is no setting: the two of the commands that
// talk to a running server, and those of the tests.
func foreign(name string) bool {
	return name == "SEALPOST_URL" || name == "SEALPOST_API_KEY" || strings.HasPrefix(name, "SEALPOST_TEST_")
}

// automatic fills in defaults that depend on other settings.
func (r *reader) automatic() {
	if _, set := r.origin["submission.tls"]; !set {
		r.config.Submission.TLS = r.config.usualSubmissionTLS()
	}
	if _, set := r.origin["submission.listen"]; !set {
		r.config.Submission.Listen = r.config.Submission.usualListen()
	}
}

// usualSubmissionTLS is the default of submission.tls: files where they are named, else the
// certificate of the API if it gets one itself.
func (c Config) usualSubmissionTLS() TLSMode {
	switch {
	case c.Submission.CertFile != "" || c.Submission.KeyFile != "":
		return TLSFiles
	case c.HTTP.TLS == TLSACME:
		return TLSACME
	}
	return TLSOff
}

// usualListen is the default of Listen: a door that nobody could use stays shut.
func (s Submission) usualListen() Listeners {
	if s.usable() {
		return Listeners{":587"}
	}
	return nil
}

// usable reports whether there is anybody who could submit.
func (s Submission) usable() bool {
	return s.TLS != TLSOff || s.AuthWithoutTLS || len(s.TrustedNetworks) > 0
}

// resolvePaths makes relative paths absolute. An empty folder leaves them alone.
func (c *Config) resolvePaths(base string) {
	c.base = base
	if base == "" {
		return
	}
	for _, f := range allFields() {
		if !f.path {
			continue
		}
		if path := f.target(c).(*string); *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(base, *path)
		}
	}
}

// written shows a decoded value about as it was written.
func written(value any) string {
	switch v := value.(type) {
	case string:
		return quote(cut(v))
	case []any:
		items := make([]string, 0, len(v))
		for _, item := range v {
			items = append(items, written(item))
		}
		return cut("[" + strings.Join(items, ", ") + "]")
	case map[string]any:
		return "{…}"
	}
	return cut(fmt.Sprint(value))
}
