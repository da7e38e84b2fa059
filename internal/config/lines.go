package config

import (
	"bytes"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// lines returns the line of every key and table of a valid document, counted from 1, by its
// dotted name. What is inside an inline table has the line of that table: see lineOf.
func lines(data []byte) map[string]int {
	found := make(map[string]int)
	var p unstable.Parser
	p.Reset(data)
	table := ""
	line, counted := 1, 0
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable, unstable.KeyValue:
		default:
			continue
		}
		name := ""
		if e.Kind == unstable.KeyValue {
			name = table
		}
		first := true
		for key := e.Key(); key.Next(); {
			node := key.Node()
			name = join(name, string(node.Data))
			if first { // expressions come in order, so one pass counts all lines
				start := int(node.Raw.Offset)
				line += bytes.Count(data[counted:start], []byte("\n"))
				counted, first = start, false
			}
		}
		if e.Kind != unstable.KeyValue {
			table = name
		}
		if _, again := found[name]; !again {
			found[name] = line
		}
	}
	return found
}

// lineOf returns the line of a key, or of the nearest table around it; 0 is none.
func lineOf(found map[string]int, key string) int {
	for {
		if line, ok := found[key]; ok {
			return line
		}
		dot := strings.LastIndexByte(key, '.')
		if dot < 0 {
			return 0
		}
		key = key[:dot]
	}
}
