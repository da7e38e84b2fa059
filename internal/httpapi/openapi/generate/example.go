package generate

import (
	"maps"
	"strings"
)

// message is the schema of the answer that most calls share: a text, and nothing else.
func message() map[string]any {
	return map[string]any{
		"type": "object", "required": []string{"message"}, "properties": map[string]any{"message": map[string]any{"type": "string"}},
	}
}

// exampleItems is how many items of a list an example shows.
const exampleItems = 2

// plausible puts values into an example where contract files have a word in the place of what
// differs from run to run, and shortens its lists.
func plausible(v any) any {
	switch v := v.(type) {
	case string:
		return strings.NewReplacer(
			"HEX24", "65f0c1d2e3a4b5c6d7e8f901", "HEX16", "18f3a2b4c5d6e7f8", "UUID", "0b5c3d2e-7f41-4a86-9c0d-1e2f3a4b5c6d",
			"MESSAGEID@", "20060102150405.0123456789abcdef@", "key-SECRET", "key-0123456789abcdef0123456789abcdef0123456789abcdef",
			"/events/TOKEN", "/events/eyJhdCI6MX0", "PASSWORD", "k3v7q2m5x4w6z7b2c3d4f5g6h7",
			"p=PUBLIC", "p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQ", "=_BOUNDARY", "=_GEZDGNBVGY3TQOJQGEZDGNBVGY",
		).Replace(v)
	case []any:
		list := make([]any, min(len(v), exampleItems))
		for i := range list {
			list[i] = plausible(v[i])
		}
		return list
	case map[string]any:
		object := maps.Clone(v)
		for name, e := range v {
			object[name] = plausible(e)
		}
		return object
	}
	return v
}
