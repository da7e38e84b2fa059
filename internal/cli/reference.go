package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Reference returns docs/reference/commands.md, generated from the model.
//
//go:generate go test . -run TestReferencePageIsCurrent -update
func Reference() (string, error) {
	var line commandLine
	parser, err := newParser(&line, Env{Stdout: io.Discard, Stderr: io.Discard}, func(int) {})
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(`<!-- Generated from internal/cli by go generate ./internal/cli. Do not edit. -->

# Commands

One program, ` + "`sealpost`" + `. ` + "`sealpost COMMAND --help`" + ` says the same as this page.

## How a command reaches the server

1. With ` + "`--url`" + ` or ` + "`SEALPOST_URL`" + `: the API at that address, with the key of ` + "`SEALPOST_API_KEY`" + ` or ` + "`--key`" + `.
2. Otherwise the configuration says where the data folder is, and the server that runs on it is asked through the socket
   ` + "`sealpost.sock`" + ` in it. Who may open the socket is the operator; no key is needed.
3. If no server runs, the command opens the data folder itself, as long as it takes. So a key and a domain can be made before the
   first start. Commands that wait for something to happen (` + "`events --follow`, `send --wait`" + `) need a server.

## Output

` + "`-o table`" + `, the default, is for people; foreign text in it is escaped, so that it cannot control a terminal. ` + "`-o json`" + ` prints the
API's answer as one JSON document, ` + "`events --follow`" + ` one object per line. Results go to standard output, everything else to standard error.

## Exit codes

| code | meaning |
|---|---|
| 0 | done |
| 1 | the operation failed: the server said no, or, with ` + "`send --wait`" + `, mail was not delivered |
| 2 | arguments, configuration or data cannot be used: an unknown key in the file, a bad PEM file, a taken port, a folder that cannot be written, data of a newer version |
| 3 | no server answers |

## Flags of every command

`)
	writeFlagTable(&b, parser.Model.Flags)
	for _, node := range parser.Model.Leaves(true) {
		writeCommand(&b, node)
	}
	return b.String(), nil
}

// writeCommand describes one command.
func writeCommand(b *strings.Builder, node *kong.Node) {
	path := node.FullPath()
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n    %s", path, node.Help, path)
	var flags []*kong.Flag
	for n := node; n.Parent != nil; n = n.Parent {
		flags = append(slices.Clone(n.Flags), flags...)
	}
	for _, f := range flags {
		if f.Required {
			fmt.Fprintf(b, " %s", flagName(f))
		}
	}
	for _, p := range node.Positional {
		b.WriteString(" " + argumentName(p))
	}
	if slices.ContainsFunc(flags, func(f *kong.Flag) bool { return !f.Required }) {
		b.WriteString(" [flags]")
	}
	b.WriteString("\n")
	if len(node.Positional) > 0 {
		b.WriteString("\n| argument | |\n|---|---|\n")
		for _, p := range node.Positional {
			fmt.Fprintf(b, "| `%s` | %s |\n", argumentName(p), cell(p.Help))
		}
	}
	if len(flags) > 0 {
		b.WriteString("\n")
		writeFlagTable(b, flags)
	}
}

func argumentName(p *kong.Positional) string {
	if p.Tag.PlaceHolder != "" {
		return p.Tag.PlaceHolder
	}
	return strings.ToUpper(p.Name)
}

// writeFlagTable describes flags, in their order.
func writeFlagTable(b *strings.Builder, flags []*kong.Flag) {
	b.WriteString("| flag | |\n|---|---|\n")
	for _, f := range flags {
		if f.Hidden {
			continue
		}
		name := flagName(f)
		if f.Short != 0 {
			name = fmt.Sprintf("-%c, %s", f.Short, name)
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", cell(name), cell(f.Help))
	}
}

func flagName(f *kong.Flag) string {
	switch {
	case f.Name == "help":
		return "--help"
	case f.IsBool() && f.Target.Kind().String() == "ptr":
		return "--" + f.Name + "[=true|false]"
	case f.IsBool():
		return "--" + f.Name
	}
	return "--" + f.Name + " " + f.FormatPlaceHolder()
}

// cell is text within a Markdown table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
