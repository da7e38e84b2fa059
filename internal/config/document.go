package config

import (
	"fmt"
	"strings"
)

// Reference returns docs/reference/configuration.md, generated from the table of
// settings.
//
//go:generate go test . -run TestReferencePageIsCurrent -update
func Reference() string {
	var b strings.Builder
	b.WriteString(`<!-- Generated from internal/config/fields.go by go generate ./internal/config. Do not edit. -->

# Configuration

Sealpost reads one TOML file: the one named with ` + "`-c`" + `, otherwise ` + "`./sealpost.toml`" + `, otherwise
` + "`/etc/sealpost/sealpost.toml`" + `. ` + "`sealpost init`" + ` writes it with every setting explained, and
` + "`sealpost check-config`" + ` says what is wrong with it. A name that is not on this page is a mistake.

- Each setting can be overridden by the environment variable in its table. Lists are separated by commas there. Other
  variables that begin with ` + "`SEALPOST_`" + ` are mistakes, except ` + "`SEALPOST_URL`" + ` and ` + "`SEALPOST_API_KEY`" + `, which
  are for the commands that talk to a running server, and ` + "`SEALPOST_TEST_*`" + `.
- Where ` + "`SEALPOST_SERVER_HOSTNAME`" + ` is set, no file is needed.
- Relative paths count from the folder of the file, or from the working folder where there is no file.
- Durations have units: ` + "`90s`, `15m`, `8h`" + `.
`)
	for _, s := range sections() {
		fmt.Fprintf(&b, "\n## [%s]\n\n%s\n", s.name, s.doc)
		for _, f := range s.fields {
			_, name, _ := strings.Cut(f.key, ".")
			fmt.Fprintf(&b, "\n### %s\n\n%s\n\n| | |\n|---|---|\n", name, f.doc)
			usual := "`" + f.value + "`"
			if f.automatic != "" {
				usual = f.automatic
			}
			fmt.Fprintf(&b, "| default | %s |\n", usual)
			if f.example != "" {
				fmt.Fprintf(&b, "| example | `%s` |\n", f.example)
			}
			fmt.Fprintf(&b, "| environment | `%s` |\n", Variable(f.key))
		}
	}
	return b.String()
}

// Sample returns a file with every setting explained: those of c that differ from
// the defaults are set, the others stand in comments with their default or an example.
func Sample(c Config) string {
	changed := make(map[string]string)
	for _, s := range c.Changed() {
		changed[s.Key] = s.Value
	}
	var b strings.Builder
	b.WriteString("# Sealpost's settings. Every setting is here; those in comments show a default or an example.\n" +
		"# After a change: sealpost check-config, then restart. All about them: docs/reference/configuration.md\n")
	for _, s := range sections() {
		fmt.Fprintf(&b, "\n# %s\n[%s]\n", s.doc, s.name)
		for _, f := range s.fields {
			_, name, _ := strings.Cut(f.key, ".")
			b.WriteString("\n")
			doc := f.doc
			if f.automatic != "" {
				doc += " Default: " + f.automatic + "."
			}
			for _, line := range wrap(strings.ReplaceAll(doc, "`", ""), 96) {
				b.WriteString("# " + line + "\n")
			}
			if value, set := changed[f.key]; set {
				fmt.Fprintf(&b, "%s = %s\n", name, value)
				continue
			}
			value := f.value
			if f.example != "" {
				value = f.example
			}
			fmt.Fprintf(&b, "#%s = %s\n", name, value)
		}
	}
	return b.String()
}

// wrap breaks text into lines of at most width octets, where words allow.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
